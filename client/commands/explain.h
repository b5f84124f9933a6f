// varserve explain: a page that shows what an intervention did to one answer.
#pragma once

#include <string>

#include "client/cli/request_flags.h"
#include "client/commands/command.h"
#include "client/commands/picture_question.h"
#include "client/explain/explanation.h"

namespace varserve::cli {

class ExplainCommand : public Command {
 public:
  explicit ExplainCommand(CLI::App& program);
  absl::Status Prepare() override;
  absl::Status Run(client::InferenceClient& client, const client::CallOptions& options,
                   Console& console) override;

 private:
  PictureQuestion input_;
  GenerateFlags generate_;
  InterventionFlags intervention_;
  std::string out_ = "report.html";
  client::ExplainRequest request_;
};

}  // namespace varserve::cli
