// config.json: quantization_config, how a checkpoint's weights were quantized.
#pragma once

#include <cstdint>
#include <string>

#include "server/base/json_fields.h"

namespace varserve::model {

struct QuantizationConfig {
  enum class Format : uint8_t { kNone, kCompressedTensors, kAwq, kGptq };
  Format format = Format::kNone;
  std::string name;   // of the format, as config.json spells it
  int bits = 0;       // 4 or 8
  int64_t group = 0;  // inputs that share a scale; 0: all of them
  bool symmetric = true;
  bool zeros_minus_one = false;  // GPTQ's first version stores zero - 1
};

// Reads quantization_config, or compression_config, of config.json. Fails for what cannot be served.
QuantizationConfig ReadQuantizationConfig(JsonFields& config);

}  // namespace varserve::model
