// Picture files to send.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace varserve::testing {

// A file of tests/golden/images/files.
inline std::string Picture(const std::string& name) {
  std::stringstream bytes;
  bytes << std::ifstream(std::string(VARSERVE_SOURCE_DIR) + "/tests/golden/images/files/" + name,
                         std::ios::binary)
               .rdbuf();
  return bytes.str();
}

// The beginning of a PNG file that says it has this size, and nothing more.
inline std::string PngHeader(uint32_t width, uint32_t height) {
  std::string bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  for (const uint32_t value : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 0xff));
  }
  return bytes + std::string("\x08\x02\0\0\0\0\0\0\0", 9);
}

}  // namespace varserve::testing
