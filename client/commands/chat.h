// varserve chat: the next turn of a conversation.
#pragma once

#include <string>

#include "client/cli/request_flags.h"
#include "client/commands/command.h"

namespace varserve::cli {

class ChatCommand : public Command {
 public:
  explicit ChatCommand(CLI::App& program);
  absl::Status Prepare() override;
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;

 private:
  std::string file_ = "-";
  GenerateFlags generate_;
  InterventionFlags intervention_;
  v1::GenerateRequest request_;
};

}  // namespace varserve::cli
