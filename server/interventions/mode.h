// Whether an intervention runs for a request, and what flags, metrics and log lines call it.
#pragma once

#include <array>
#include <cstdint>

namespace varserve::interventions {

enum class Mode : uint8_t {
  kOff,      // plain attention, nothing is measured
  kObserve,  // measured, nothing is changed: the same tokens as kOff
  kOn,
};

// By Mode.
inline constexpr std::array<const char*, 3> kModeNames = {"off", "observe", "on"};

inline const char* ModeName(Mode mode) { return kModeNames[static_cast<int>(mode)]; }

}  // namespace varserve::interventions
