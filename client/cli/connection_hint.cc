#include "client/cli/connection_hint.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace varserve::cli {
namespace {

struct Hint {
  bool tls;                 // whether the client uses it
  absl::string_view error;  // a part of gRPC's message
  absl::string_view text;   // after "the server at ADDRESS"
};

constexpr Hint kHints[] = {
    {true, "wrong version number", "may not use TLS; try without the --tls flags"},
    {true, "certificate verify failed",
     "has a certificate that is not trusted; name the authority that signed it with --tls-ca"},
    {true, "not in peer certificate",
     "has a certificate for another name; give that name with --tls-server-name"},
    {true, "Socket closed", "may require a client certificate; give one with --tls-cert and --tls-key"},
    {false, "Socket closed", "may use TLS; try --tls, or --tls-ca FILE for a private authority"},
    {false, "http1.x server", "speaks HTTP/1.1; name its gRPC port, 50051 by default, with --address"},
    {false, "Connection refused", "is not running; start it, or name another with --address"},
    {true, "Connection refused", "is not running; start it, or name another with --address"},
};

}  // namespace

std::string ConnectionHint(const absl::Status& status, const client::ConnectOptions& options) {
  if (absl::IsDeadlineExceeded(status)) return "the call took longer than --timeout";
  // gRPC's words for a connection that was never made; the server's own errors have others.
  if (!absl::IsUnavailable(status) || !absl::StrContains(status.message(), "last error: ")) return "";
  for (const Hint& hint : kHints) {
    if (hint.tls == options.tls.has_value() && absl::StrContains(status.message(), hint.error))
      return absl::StrCat("the server at ", options.address, " ", hint.text);
  }
  return "";
}

}  // namespace varserve::cli
