#include "client/commands/run_command.h"

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/cli/interrupt.h"
#include "client/cli/text_layout.h"
#include "client/rpc_status.h"

namespace varserve::cli {
namespace {

// What to do about a call that could not reach the server; empty if the message says it. The words are
// gRPC's.
std::string ConnectionHint(absl::string_view message, const client::ConnectOptions& connect) {
  if (!absl::StrContains(message, "last error: ")) return "";
  const bool tls = connect.tls.has_value();
  const auto at = [&](absl::string_view hint) {
    return absl::StrReplaceAll(hint, {{"%s", connect.address}});
  };
  if (absl::StrContains(message, "Connection refused") || absl::StrContains(message, "No such file"))
    return at("no server listens at %s; start one, or name another --address");
  if (tls && absl::StrContains(message, "certificate verify failed"))
    return at("the certificate of %s is not trusted; name its authority with --tls-ca");
  if (tls && absl::StrContains(message, "andshake failed"))
    return at("the server at %s may not use TLS; call it without --tls and the other --tls options");
  if (!tls && absl::StrContains(message, "Socket closed"))
    return at("the server at %s may use TLS; add --tls, or --tls-ca for a private authority");
  return "";
}

void PrintError(const absl::Status& status, const Command& command, const client::ConnectOptions& connect,
                const client::CallOptions& call, Console& console) {
  const absl::string_view message = status.message();
  const auto print = [&](const std::string& line) {
    console.err << "varserve: " << PrintableLine(line) << "\n";
  };
  print(absl::StrCat(absl::StatusCodeToString(status.code()), ": ", message));
  for (const Command::SentFile& file : command.files()) {
    absl::string_view rest = message;
    if (absl::ConsumePrefix(&rest, file.field) &&
        (absl::StartsWith(rest, ".") || absl::StartsWith(rest, ":")))
      print(absl::StrCat(file.field, " is ", file.path));
  }
  if (const std::optional<absl::Duration> delay = client::RetryDelay(status)) {
    print(absl::StrCat("try again in ", absl::FormatDuration(*delay), ", or use --retry"));
  } else if (absl::IsDeadlineExceeded(status)) {
    print(
        absl::StrCat("--timeout of ", absl::FormatDuration(call.timeout), " was not enough; give more time"));
  } else if (absl::IsUnavailable(status)) {
    if (const std::string hint = ConnectionHint(message, connect); !hint.empty()) print(hint);
  }
}

}  // namespace

ExitCode UsageError(const std::string& message, const std::string& command, Console& console) {
  console.err << "varserve: " << Printable(message) << "\nSee varserve " << command
              << (command.empty() ? "" : " ") << "--help.\n";
  return kExitUsage;
}

ExitCode RunCommand(Command& command, client::Cancellation& cancellation, Console& console) {
  const auto usage_error = [&](const absl::Status& status) {
    return UsageError(std::string(status.message()), command.name(), console);
  };
  if (const absl::Status status = command.Prepare(); !status.ok()) return usage_error(status);
  const absl::StatusOr<client::ConnectOptions> connect_options = command.connection().connect_options();
  if (!connect_options.ok()) return usage_error(connect_options.status());
  // Only now: Ctrl-C while standard input is read ends the process as usual.
  const Interrupt interrupt(&cancellation);
  const auto client = client::InferenceClient::Connect(*connect_options);
  // The option that it names is the flag's.
  if (!client.ok())
    return usage_error(absl::InvalidArgumentError(absl::StrCat("--", client.status().message())));
  const client::CallOptions call = command.connection().call_options(&cancellation);
  const absl::Status status = command.Run(**client, call, console);
  console.out.flush();
  if (!console.out.good()) {
    console.err << "varserve: standard output cannot be written\n";
    return kExitError;
  }
  if (!status.ok()) PrintError(status, command, *connect_options, call, console);
  return command.ExitCodeFor(status);
}

}  // namespace varserve::cli
