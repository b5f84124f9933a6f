// The effective VAR setting of one request: every knob has its value. Plain data; meanings and ranges are
// those of proto/varserve/v1/var.proto.
#pragma once

#include <cstdint>

namespace varserve::engine {

enum class VarMode : uint8_t { kOff, kObserve, kOn };
enum class VarVariant : uint8_t { kPaper, kAuthorsCode };

struct VarSettings {
  VarMode mode = VarMode::kOff;
  VarVariant variant = VarVariant::kPaper;
  float tau = 20.0F;
  float rho = 0.8F;
  float p = 0.6F;
  float min_visual_attention = 0.2F;
  int first_layer = 0;
  int last_layer = 0;  // inclusive

  bool measured() const { return mode != VarMode::kOff; }
  bool operator==(const VarSettings&) const = default;
};

}  // namespace varserve::engine
