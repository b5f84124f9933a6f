// A contrast of one request as a transport sees it: what its sibling's prompt is, how the logits are
// combined, and what replies, log lines and metrics say of it. Immutable once made; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "server/interventions/contrast/report.h"
#include "server/interventions/contrast_rule.h"
#include "server/telemetry/logging.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::interventions {

// What the sibling's prompt has otherwise than the request's.
struct NoisyPictures {
  int step = 0;  // of DiffusionNoise
  uint64_t seed = 0;
};
struct DisturbedInstruction {
  std::string disturbance;  // begins the text of the last message
};
struct NoPictures {};
using SiblingPrompt = std::variant<NoisyPictures, DisturbedInstruction, NoPictures>;

struct ContrastSetting {
  const char* method = "";  // its field in the API's Intervention; outlives the setting
  ContrastRule rule;
  SiblingPrompt sibling;
  // The contrast's options with every field set; none for PAI, whose options the attention's setting
  // describes.
  v1::Intervention effective;

  v1::ContrastReport ToProto(const ContrastReport& report) const;
  telemetry::LogFields LogFieldsOf(const ContrastReport& report) const;
};

}  // namespace varserve::interventions
