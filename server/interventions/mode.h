// Whether VAR runs for a request, and the name of the mode in flags, metrics and log lines.
#pragma once

#include <array>
#include <cstdint>

namespace varserve::interventions {

enum class Mode : uint8_t {
  kOff,      // plain attention, nothing is measured; or another intervention
  kObserve,  // measures but changes nothing: the same tokens as kOff
  kOn,
};

// Indexed by Mode.
inline constexpr std::array<const char*, 3> kModeNames = {"off", "observe", "on"};

inline const char* ModeName(Mode mode) { return kModeNames[static_cast<int>(mode)]; }

}  // namespace varserve::interventions
