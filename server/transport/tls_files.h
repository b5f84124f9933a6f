// The PEM files that make a transport use TLS. Plain data.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace varserve::transport {

// All empty: no TLS. With a client CA, clients must present a certificate that it signed.
struct TlsFiles {
  std::string cert;
  std::string key;
  std::string client_ca;

  bool empty() const { return cert.empty() && key.empty() && client_ca.empty(); }
};

// INVALID_ARGUMENT, naming the flag, if a file is missing or unusable: a server would start with it, and then
// every handshake would fail. OK if there are none.
absl::Status CheckTlsFiles(const TlsFiles& files);

}  // namespace varserve::transport
