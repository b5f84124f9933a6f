#include "client/commands/ask.h"

namespace varserve::cli {

AskCommand::AskCommand(CLI::App& program)
    : Command(program, "ask", "Answer a question about one or more pictures"),
      input_(app()),
      generate_(app()),
      var_(app(), VarFlags::Mode::kFlag) {
  AddVerboseFlag();
  AddConnectionFlags();
}

absl::Status AskCommand::Prepare() {
  if (absl::Status status = input_.Read(); !status.ok()) return status;
  for (const std::string& image : input_.images()) request_.add_images()->set_data(image);
  request_.set_question(input_.question());
  *request_.mutable_options() = generate_.options();
  *request_.mutable_var() = var_.options();
  return absl::OkStatus();
}

absl::Status AskCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                             Console& console) {
  AnswerOutput answer(output(), console);
  return client.Answer(request_, options, answer.callback()).status();
}

}  // namespace varserve::cli
