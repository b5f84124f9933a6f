// What it takes to show what an intervention did to one answer, asked from a server. Thread-compatible.
//
// The API gives attention averaged over layers and sinks counted over layers. So the answer is generated
// under several settings in one call (the pictures' prefix is shared): off, with maps over all layers, and,
// for VAR, with maps over each band of layers. Where the sinks of each layer are takes one row per layer:
// visual sinks do not depend on what is generated, nor on the method.
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
  // What to show. Its detail and map_layers do not count. Without a contrast, VAR's mode is on; without any
  // method, it is VAR with the server's defaults.
  v1::Intervention intervention;
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
  v1::Intervention setting;  // with every field set
  v1::Started started;       // with it
  v1::Finished off;
  v1::Finished on;
  std::string last_text;    // of the last token of `on`, which has no report of its own; may be empty
  std::vector<Band> bands;  // the first: all layers; none of SPIN and of a contrast alone, which have no maps
  // Of the layers that the setting changes, in order; none without maps, or without a VAR profile.
  std::vector<LayerSinks> sinks;
};

// At most `max_bands` bands that together are the layers first to last, as equal as can be.
std::vector<Explanation::Band> SplitLayers(uint32_t first_layer, uint32_t last_layer, uint32_t max_bands);

// `options` are each call's.
absl::StatusOr<Explanation> Explain(InferenceClient& client, const CallOptions& options,
                                    const ExplainRequest& request);

}  // namespace varserve::client
