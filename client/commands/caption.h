// varserve caption: what a picture shows.
#pragma once

#include <string>

#include "client/cli/request_flags.h"
#include "client/commands/command.h"

namespace varserve::cli {

class CaptionCommand : public Command {
 public:
  explicit CaptionCommand(CLI::App& program);
  absl::Status Prepare() override;
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;

 private:
  std::string image_;
  GenerateFlags generate_;
  InterventionFlags intervention_;
  v1::CaptionRequest request_;
};

}  // namespace varserve::cli
