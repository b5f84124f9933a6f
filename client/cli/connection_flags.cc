#include "client/cli/connection_flags.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/input_file.h"

namespace varserve::cli {

namespace {

CLI::Validator Check(const std::string& expected, const std::function<bool(const std::string&)>& valid) {
  return CLI::Validator(
      [expected, valid](std::string& text) {
        return valid(text) ? "" : absl::StrCat("\"", text, "\" is not ", expected);
      },
      "");
}

// Of a file in the server's format: lines of "NAME TOKEN" or "TOKEN"; empty lines and those that begin with #
// do not count. Empty if there is none.
std::string FirstToken(absl::string_view contents) {
  for (const absl::string_view line : absl::StrSplit(contents, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (!words.empty() && words.front()[0] != '#') return std::string(words.back());
  }
  return "";
}

}  // namespace

ConnectionFlags::ConnectionFlags(CLI::App& app, absl::Duration timeout)
    : timeout_seconds_(absl::ToDoubleSeconds(timeout)) {
  const auto add = [&](const std::string& flag, auto& value, const std::string& type,
                       const std::string& help) {
    return app.add_option(flag, value, help)->type_name(type)->group("Connection");
  };
  add("--address", address_, "HOST:PORT",
      "Address of the server; several separated by commas, or dns:///HOST:PORT")
      ->envname("VARSERVE_ADDRESS")
      ->capture_default_str();
  app.add_flag("--tls", use_tls_, "Use TLS; trust the public certificate authorities")->group("Connection");
  add("--tls-ca", tls_ca_, "FILE", "Use TLS; PEM file of the authority that signed the server's certificate");
  add("--tls-cert", tls_cert_, "FILE", "Use TLS; PEM file of the client's certificate, for mTLS");
  add("--tls-key", tls_key_, "FILE", "PEM file of the private key of --tls-cert");
  add("--tls-server-name", tls_server_name_, "NAME",
      "Use TLS; name in the server's certificate, if it is not the host of --address");
  CLI::Option* token = add("--token", token_, "TOKEN", "Bearer token");
  token->envname("VARSERVE_TOKEN");
  add("--token-file", token_file_, "FILE",
      "File with the bearer token in its first line, like the server's --token_file; overrides --token");
  add("--timeout", timeout_seconds_, "SECONDS",
      absl::StrCat("Time limit of the call. Default: ",
                   timeout == absl::InfiniteDuration() ? "none" : absl::StrCat(timeout_seconds_)))
      ->check(Check("a number of seconds greater than 0", [](const std::string& text) {
        double seconds = 0;
        return absl::SimpleAtod(text, &seconds) && seconds > 0;  // nor "nan"
      }));
  add("--request-id", request_id_, "ID",
      "ID of the request in the server's log. Default: the server makes one")
      ->check(Check("printable ASCII", [](const std::string& text) {
        return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isprint(c); });
      }));
  add("--retry", retries_, "N", "Retry up to N times while the server is busy or not ready. Default: 0")
      ->check(Check("a whole number of at least 0", [](const std::string& text) {
        int number = 0;
        return absl::SimpleAtoi(text, &number) && number >= 0;
      }));
}

absl::StatusOr<client::ConnectOptions> ConnectionFlags::connect_options() const {
  client::ConnectOptions options{.address = address_, .token = token_};
  const auto read = [](absl::string_view flag, const std::string& path,
                       std::string& contents) -> absl::Status {
    if (path.empty()) return absl::OkStatus();
    absl::StatusOr<std::string> read = ReadInput(path);
    if (!read.ok()) return absl::InvalidArgumentError(absl::StrCat(flag, ": ", read.status().message()));
    contents = *std::move(read);
    return absl::OkStatus();
  };
  if (use_tls_ || !tls_ca_.empty() || !tls_cert_.empty() || !tls_key_.empty() || !tls_server_name_.empty()) {
    client::TlsOptions& tls = options.tls.emplace();
    tls.server_name = tls_server_name_;
    absl::Status status = read("--tls-ca", tls_ca_, tls.ca);
    status.Update(read("--tls-cert", tls_cert_, tls.cert));
    status.Update(read("--tls-key", tls_key_, tls.key));
    if (!status.ok()) return status;
  }
  if (!token_file_.empty()) {
    std::string contents;
    if (absl::Status status = read("--token-file", token_file_, contents); !status.ok()) return status;
    options.token = FirstToken(contents);
    if (options.token.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--token-file: ", token_file_, " holds no token"));
    }
  }
  return options;
}

client::CallOptions ConnectionFlags::call_options(client::Cancellation* cancellation) const {
  return {.timeout = absl::Seconds(timeout_seconds_),
          .request_id = request_id_,
          .max_retries = retries_,
          .cancellation = cancellation};
}

}  // namespace varserve::cli
