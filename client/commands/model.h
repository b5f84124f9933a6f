// varserve model: what the server serves.
#pragma once

#include "client/commands/command.h"

namespace varserve::cli {

class ModelCommand : public Command {
 public:
  explicit ModelCommand(CLI::App& program);
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;
};

}  // namespace varserve::cli
