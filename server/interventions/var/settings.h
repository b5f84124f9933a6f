// The effective VAR setting of one request, with a value for every knob. VAR's defaults and the presets'
// names are defined only here. Plain data; meanings and ranges: see proto/varserve/v1/var.proto.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "server/interventions/mode.h"

namespace varserve::interventions {

enum class VarVariant : uint8_t { kPaper, kAuthorsCode };

// Values of rho by type of task.
enum class VarPreset : uint8_t { kGeneral, kHallucination, kVisionCentric };
struct VarPresetRow {
  const char* name;
  float rho;
};
// Indexed by VarPreset.
inline constexpr std::array<VarPresetRow, 3> kVarPresets = {
    {{"general", 0.8F}, {"hallucination", 0.5F}, {"vision_centric", 0.9F}}};
// The preset in metrics and log lines if a request sets a knob.
inline constexpr char kCustomPreset[] = "custom";

// The paper's threshold, for models without their own.
inline constexpr float kPaperTau = 20.0F;
inline constexpr double kMostTau = 1000;

struct VarSettings {
  Mode mode = Mode::kOff;
  VarVariant variant = VarVariant::kPaper;
  float tau = kPaperTau;
  float rho = kVarPresets[0].rho;
  float p = 0.6F;
  float min_visual_attention = 0.2F;
  int first_layer = 0;
  int last_layer = 0;  // inclusive

  bool measured() const { return mode != Mode::kOff; }
  bool operator==(const VarSettings&) const = default;
};

// The defaults of a variant (docs/var.md).
inline VarSettings DefaultVarSettings(VarVariant variant, int num_layers) {
  VarSettings s;
  s.variant = variant;
  s.last_layer = std::max(0, num_layers - 2);
  if (variant == VarVariant::kAuthorsCode) {
    s.rho = 0.5F;
    s.p = 0.4F;
    s.first_layer = std::min(2, num_layers - 1);
    s.last_layer = num_layers - 1;
  }
  return s;
}

}  // namespace varserve::interventions
