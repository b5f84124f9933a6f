// Picture files to send.
#pragma once

#include <string>

#include "tests/testing/files.h"

namespace varserve::testing {

// A file of tests/golden/images/files.
inline std::string Picture(const std::string& name) {
  return ReadFile(RepositoryPath("tests/golden/images/files/" + name));
}

// The beginning of a PNG file that says it has 30000 x 30000 pixels, and no more.
inline std::string HugePngHeader() {
  const char bytes[] =
      "\x89PNG\r\n\x1a\n"
      "\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x08\x02\0\0\0"
      "\xe9\x45\x6f\xed"  // checksum
      "\0\0\x10\0IDAT";
  return std::string(bytes, sizeof(bytes) - 1);
}

}  // namespace varserve::testing
