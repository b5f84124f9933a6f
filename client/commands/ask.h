// varserve ask: one question about pictures.
#pragma once

#include "client/cli/request_flags.h"
#include "client/commands/command.h"
#include "client/commands/picture_question.h"

namespace varserve::cli {

class AskCommand : public Command {
 public:
  explicit AskCommand(CLI::App& program);
  absl::Status Prepare() override;
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;

 private:
  PictureQuestion input_;
  GenerateFlags generate_;
  InterventionFlags intervention_;
  v1::AnswerRequest request_;
};

}  // namespace varserve::cli
