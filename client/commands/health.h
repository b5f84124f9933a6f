// varserve health: whether the server lives and takes requests; for the health check of a container.
#pragma once

#include <optional>
#include <string>

#include "client/commands/command.h"

namespace varserve::cli {

class HealthCommand : public Command {
 public:
  explicit HealthCommand(CLI::App& program);
  absl::Status Prepare() override;
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;
  // Health checks know 0 and 1 only.
  ExitCode ExitCodeFor(const absl::Status& status) const override {
    return status.ok() ? kExitOk : kExitError;
  }

 private:
  std::optional<std::string> service_;
};

}  // namespace varserve::cli
