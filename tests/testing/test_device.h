// The device that tests of the model, and their servers, run on: what the environment variable
// VARSERVE_TEST_DEVICE names, "cuda" or "far" (far_device.h), else "cpu".
#pragma once

#include <cstdlib>
#include <string>

namespace varserve::testing {

inline std::string TestDevice() {
  const char* device = std::getenv("VARSERVE_TEST_DEVICE");
  return device != nullptr ? device : "cpu";
}

}  // namespace varserve::testing
