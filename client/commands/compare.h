// varserve compare: one prompt under several settings, side by side.
#pragma once

#include <string>
#include <vector>

#include "client/cli/request_flags.h"
#include "client/commands/command.h"
#include "client/commands/picture_question.h"

namespace varserve::cli {

class CompareCommand : public Command {
 public:
  explicit CompareCommand(CLI::App& program);
  absl::Status Prepare() override;
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;

 private:
  PictureQuestion input_;
  GenerateFlags generate_;
  std::vector<std::string> settings_ = {"off", "on"};
  v1::CompareRequest request_;
};

}  // namespace varserve::cli
