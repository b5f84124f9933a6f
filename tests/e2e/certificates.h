// Certificates made by a test, for 127.0.0.1. PEM texts.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace varserve::testing {

struct Certificate {
  std::string cert;
  std::string key;
};

Certificate MakeAuthority(const std::string& name);
// Signed by `authority`, valid until so long from now; negative: expired.
Certificate MakeCertificate(const Certificate& authority, absl::Duration valid = absl::Hours(1));

}  // namespace varserve::testing
