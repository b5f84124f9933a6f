#include "client/commands/chat.h"

#include <utility>

#include "client/cli/input_file.h"
#include "client/commands/chat_messages.h"

namespace varserve::cli {

ChatCommand::ChatCommand(CLI::App& program)
    : Command(program, "chat", "Answer the last message of a conversation"),
      generate_(app()),
      var_(app(), VarFlags::Mode::kFlag) {
  app()
      .add_option("FILE", file_, "JSON array of messages, see below. Default: standard input")
      ->type_name("");
  AddVerboseFlag();
  AddConnectionFlags();
  app().footer(R"(Messages are written as for Hugging Face's chat templates:
  [{"role": "user", "content": [{"type": "image", "path": "cat.jpg"}, {"type": "text", "text": "What is it?"}]},
   {"role": "assistant", "content": "A cat."},
   {"role": "user", "content": "What does it do?"}]
)");
}

absl::Status ChatCommand::Prepare() {
  absl::StatusOr<std::string> json = ReadInput(file_);
  if (!json.ok()) return json.status();
  absl::StatusOr<google::protobuf::RepeatedPtrField<v1::Message>> messages = ParseMessages(*json, &ReadInput);
  if (!messages.ok()) return messages.status();
  *request_.mutable_messages() = *std::move(messages);
  *request_.mutable_options() = generate_.options();
  *request_.mutable_var() = var_.options();
  return absl::OkStatus();
}

absl::Status ChatCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                              Console& console) {
  AnswerOutput answer(output(), console);
  return client.Generate(request_, options, answer.callback()).status();
}

}  // namespace varserve::cli
