#include "client/commands/run_command.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/connection_hint.h"
#include "client/cli/interrupt.h"
#include "client/cli/text_layout.h"
#include "client/rpc_status.h"

namespace varserve::cli {
namespace {

void PrintError(const absl::Status& status, const Command& command, const client::ConnectOptions& options,
                Console& console) {
  console.err << absl::StrFormat("varserve: %s: %s\n", absl::StatusCodeToString(status.code()),
                                 PrintableLine(command.WithFile(status.message())));
  if (const std::string hint = ConnectionHint(status, options); !hint.empty())
    console.err << "varserve: " << PrintableLine(hint) << "\n";
  if (const std::optional<absl::Duration> delay = client::RetryDelay(status)) {
    console.err << absl::StrFormat("varserve: try again in %s, or add --retry N\n",
                                   absl::FormatDuration(*delay));
  }
}

}  // namespace

ExitCode UsageError(const std::string& message, const std::string& command, Console& console) {
  console.err << "varserve: " << Printable(message) << "\nRun varserve " << command
              << (command.empty() ? "" : " ") << "--help for the options.\n";
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
  // Its messages begin with the option, which the flag is called after.
  if (!client.ok())
    return usage_error(absl::InvalidArgumentError(absl::StrCat("--", client.status().message())));
  const absl::Status status =
      command.Run(**client, command.connection().call_options(&cancellation), console);
  console.out.flush();
  if (!console.out.good()) {
    console.err << "varserve: standard output cannot be written\n";
    return kExitError;
  }
  if (!status.ok()) PrintError(status, command, *connect_options, console);
  return command.ExitCodeFor(status);
}

}  // namespace varserve::cli
