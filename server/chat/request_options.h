// What a caller may set, checked and turned into the engine's own types. Errors are INVALID_ARGUMENT
// beginning with the name of a field of GenerateOptions or VarOptions, FAILED_PRECONDITION where the model
// has no VAR profile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/request.h"
#include "server/engine/var_settings.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

inline constexpr int kMaxStopStrings = 8;

struct SamplingRequest {
  engine::SamplingParams params;
  std::vector<std::string> stop;
};

// `random_seed` is taken where the caller sets none.
absl::StatusOr<SamplingRequest> ReadGenerateOptions(const v1::GenerateOptions& options, int vocabulary,
                                                    uint64_t random_seed);

// What the model and the server's flags say about VAR.
struct VarDefaults {
  v1::VarMode mode = v1::VAR_MODE_OFF;
  v1::VarPreset preset = v1::VAR_PRESET_GENERAL;
  std::optional<float> profile_tau;  // none: the model has no VAR profile
  int num_layers = 0;
};

struct VarRequest {
  engine::VarSettings settings;
  v1::VarDetail detail = v1::VAR_DETAIL_LAYERS;
  std::vector<int> map_layers;  // not empty exactly where the detail is MAPS and the mode is not OFF
  v1::VarOptions effective;     // the same, every field set
  // What metrics call the knobs: general, hallucination, vision_centric, or custom where the caller sets one.
  absl::string_view preset;
};

absl::StatusOr<VarRequest> ReadVarOptions(const v1::VarOptions& options, const VarDefaults& defaults);

}  // namespace varserve::chat
