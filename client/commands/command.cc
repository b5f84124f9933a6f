#include "client/commands/command.h"

namespace varserve::cli {

Command::Command(CLI::App& program, const std::string& name, const std::string& description)
    : app_(*program.add_subcommand(name, description)) {
  app_.footer("");  // not the program's
  app_.add_flag("--json", output_.json, "Print each response as one line of JSON, and nothing else");
}

void Command::AddConnectionFlags(absl::Duration timeout) { connection_.emplace(app_, timeout); }

void Command::AddVerboseFlag() {
  app_.add_flag("-v,--verbose", output_.verbose,
                "Also print the request ID, all tables, token counts and times");
}

}  // namespace varserve::cli
