// What the configurations of decoder and vision tower share.
#pragma once

#include <cstdint>

#include "server/base/json_fields.h"

namespace varserve::model {

inline constexpr int64_t kMostOfAnything = 1 << 24;  // no dimension is larger
inline constexpr int64_t kMostLayers = 1024;

inline int Dimension(JsonFields& fields, const char* key, int fallback) {
  return static_cast<int>(fields.Int(key, fallback, 1, kMostOfAnything));
}

inline int Layers(JsonFields& fields, int fallback) {
  return static_cast<int>(fields.Int("num_hidden_layers", fallback, 1, kMostLayers));
}

// Rejects fields, in any part of config.json, that change the model's layers.
inline void RefuseWhatChangesLayers(JsonFields& fields) {
  fields.Neutral("per_layer_config", nullptr);
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (fields.Has(key)) fields.Choice(key, "float32", {"float32", "float16", "bfloat16"});
  }
}

// Quantization is described for the whole model, not for a part of it.
inline void RefuseQuantizedPart(JsonFields& fields) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (fields.Has(key))
      fields.FailWithValue(key, "but is only supported for the whole model, outside this part");
  }
}

}  // namespace varserve::model
