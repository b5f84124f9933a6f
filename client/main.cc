// varserve: the command line of the API in proto/varserve/v1.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "client/cli/console.h"
#include "client/cli/exit_code.h"
#include "client/cli/help_format.h"
#include "client/cli/suggestion.h"
#include "client/commands/ask.h"
#include "client/commands/caption.h"
#include "client/commands/chat.h"
#include "client/commands/compare.h"
#include "client/commands/explain.h"
#include "client/commands/health.h"
#include "client/commands/model.h"
#include "client/commands/run_command.h"

namespace varserve::cli {
namespace {

constexpr char kFooter[] = R"(varserve COMMAND --help lists a command's options.

Exit codes:
  0    ok
  1    the server or the network failed, or the output could not be written
  2    the command line is wrong, or a file cannot be read
  3    the request is invalid (INVALID_ARGUMENT, FAILED_PRECONDITION) or too large (RESOURCE_EXHAUSTED)
  4    the server is busy, not ready or not reachable (UNAVAILABLE, RESOURCE_EXHAUSTED with a retry delay)
  5    --timeout ran out (DEADLINE_EXCEEDED)
  6    the token is missing or wrong (UNAUTHENTICATED)
  130  interrupted
)";

// What the parser did not know, and what was probably meant.
std::optional<std::string> UnknownWord(const CLI::App& program, const CLI::App* command) {
  const std::vector<std::string> unknown = program.remaining(/*recurse=*/true);
  if (unknown.empty()) return std::nullopt;
  std::vector<std::string> known;
  if (command == nullptr) {
    for (const CLI::App* app : program.get_subcommands({})) known.push_back(app->get_name());
  } else {
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
  }
  const std::string word = unknown.front().substr(0, unknown.front().find('='));
  const std::string closest = ClosestWord(word, known);
  return absl::StrFormat("unknown %s %s%s",
                         command == nullptr            ? "command"
                         : absl::StartsWith(word, "-") ? "option"
                                                       : "argument",
                         word, closest.empty() ? "" : absl::StrFormat("; did you mean %s?", closest));
}

int Main(int argc, char** argv) {
  Console console = Console::Standard();
  CLI::App program("Ask a VARServe server about pictures.", "varserve");
  program.formatter(std::make_shared<HelpFormat>(console.width));
  program.require_subcommand(1);
  program.set_version_flag("--version", "varserve " VARSERVE_VERSION);
  program.footer(kFooter);
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<AskCommand>(program));
  commands.push_back(std::make_unique<CaptionCommand>(program));
  commands.push_back(std::make_unique<ChatCommand>(program));
  commands.push_back(std::make_unique<CompareCommand>(program));
  commands.push_back(std::make_unique<ExplainCommand>(program));
  commands.push_back(std::make_unique<ModelCommand>(program));
  commands.push_back(std::make_unique<HealthCommand>(program));

  const auto chosen = [&] {
    return program.get_subcommands().empty() ? nullptr : program.get_subcommands().front();
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return program.exit(help);
  } catch (const CLI::ParseError& error) {
    return UsageError(UnknownWord(program, chosen()).value_or(error.what()),
                      chosen() == nullptr ? "" : chosen()->get_name(), console);
  }
  for (const std::unique_ptr<Command>& command : commands) {
    if (!command->chosen()) continue;
    client::Cancellation cancellation;
    return RunCommand(*command, cancellation, console);
  }
  return kExitUsage;
}

}  // namespace
}  // namespace varserve::cli

int main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);  // what its log says is in the status, too
  return varserve::cli::Main(argc, argv);
}
