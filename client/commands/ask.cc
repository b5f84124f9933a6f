#include "client/commands/ask.h"

#include "absl/strings/str_cat.h"

namespace varserve::cli {

AskCommand::AskCommand(CLI::App& program)
    : Command(program, "ask", "Answer a question about one or more pictures"),
      input_(app()),
      generate_(app()),
      intervention_(app(), VarFlags::Mode::kFlag) {
  AddVerboseFlag();
  AddConnectionFlags();
}

absl::Status AskCommand::Prepare() {
  if (absl::Status status = intervention_.Read(output().json); !status.ok()) return status;
  if (absl::Status status = input_.Read(); !status.ok()) return status;
  for (size_t i = 0; i < input_.images().size(); ++i) {
    request_.add_images()->set_data(input_.images()[i]);
    SetFile(absl::StrCat("images[", i, "].data"), input_.files()[i]);
  }
  request_.set_question(input_.question());
  *request_.mutable_options() = generate_.options();
  intervention_.SetIn(request_);
  return absl::OkStatus();
}

absl::Status AskCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                             Console& console) {
  AnswerOutput answer(output(), console);
  return client.Answer(request_, options, answer.callback()).status();
}

}  // namespace varserve::cli
