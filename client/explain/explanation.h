// What it takes to show what VAR did to one answer, asked from a server. Thread-compatible.
//
// The API gives attention averaged over layers and sinks counted over layers. So the answer is generated
// under several settings in one call (the pictures' prefix is shared): off, on with maps over all layers, and
// on with maps over each band of layers. Where the sinks of each layer are takes one row per layer: visual
// sinks do not depend on what is generated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/inference_client.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::client {

struct ExplainRequest {
  std::string image;  // encoded
  std::string question;
  v1::GenerateOptions generate;
  v1::VarOptions var;  // its mode, detail and map_layers do not count
};

struct Explanation {
  struct Band {
    uint32_t first_layer;
    uint32_t last_layer;
    google::protobuf::RepeatedPtrField<v1::AttentionMap> maps;  // mean over the band's layers
  };
  struct LayerSinks {
    uint32_t layer;
    google::protobuf::RepeatedPtrField<v1::VisualSink> sinks;
  };

  v1::Model model;
  v1::Started started;  // with VAR on
  v1::Finished off;
  v1::Finished on;
  std::string last_text;          // of the last token of `on`, which has no report of its own; may be empty
  std::vector<Band> bands;        // the first: all layers
  std::vector<LayerSinks> sinks;  // of the layers of the setting, in order
};

// At most `max_bands` bands that together are the layers first to last, as equal as can be.
std::vector<Explanation::Band> SplitLayers(uint32_t first_layer, uint32_t last_layer, uint32_t max_bands);

// `options` are each call's.
absl::StatusOr<Explanation> Explain(InferenceClient& client, const CallOptions& options,
                                    const ExplainRequest& request);

}  // namespace varserve::client
