#include "client/commands/command.h"

#include "absl/strings/str_cat.h"

namespace varserve::cli {

Command::Command(CLI::App& program, const std::string& name, const std::string& description)
    : app_(*program.add_subcommand(name, description)) {
  app_.footer("");  // not the program's
  app_.add_flag("--json", output_.json, "Print each response as one line of JSON, and nothing else");
}

std::string Command::WithFile(absl::string_view message) const {
  const absl::string_view field = message.substr(0, message.find(": "));
  const auto file = files_.find(field);
  if (file == files_.end()) return std::string(message);
  return absl::StrCat(field, " (", file->second == "-" ? "standard input" : file->second, ")",
                      message.substr(field.size()));
}

void Command::AddConnectionFlags(absl::Duration timeout) { connection_.emplace(app_, timeout); }

void Command::AddVerboseFlag() {
  app_.add_flag("-v,--verbose", output_.verbose,
                "Also print the request ID, all tables, token counts and times");
}

}  // namespace varserve::cli
