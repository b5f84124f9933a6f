// One command of the command line: `varserve NAME ...`. Commands are made before the command line is parsed,
// and stay where they are: the parser writes into them. Thread-compatible.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/cli/answer_output.h"
#include "client/cli/connection_flags.h"
#include "client/cli/console.h"
#include "client/cli/exit_code.h"
#include "client/inference_client.h"

namespace varserve::cli {

class Command {
 public:
  Command(CLI::App& program, const std::string& name, const std::string& description);
  virtual ~Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  bool chosen() const { return app_.parsed(); }
  std::string name() const { return app_.get_name(); }
  const ConnectionFlags& connection() const { return *connection_; }

  // Checks what the parser cannot and reads the files that are named. An error is one of usage.
  virtual absl::Status Prepare() { return absl::OkStatus(); }
  // Calls the server and prints what comes.
  virtual absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                           Console& console) = 0;
  // A server's message with the file that a field it begins with was read from: "images[0].data (cat.jpg):
  // ...".
  std::string WithFile(absl::string_view message) const;
  virtual ExitCode ExitCodeFor(const absl::Status& status) const { return ExitCodeOf(status); }

 protected:
  CLI::App& app() { return app_; }
  const OutputFlags& output() const { return output_; }
  // The last step of every command's constructor: --help shows flags in the order they were added. Calls have
  // this timeout unless the user says another.
  void AddConnectionFlags(absl::Duration timeout = absl::InfiniteDuration());
  void AddVerboseFlag();
  void SetFile(const std::string& field, const std::string& path) { files_[field] = path; }

 private:
  CLI::App& app_;  // the program's
  OutputFlags output_;
  std::optional<ConnectionFlags> connection_;
  std::map<std::string, std::string, std::less<>> files_;  // of fields of the request
};

}  // namespace varserve::cli
