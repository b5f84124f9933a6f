#include "client/commands/chat.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/input_file.h"
#include "client/commands/chat_messages.h"

namespace varserve::cli {

ChatCommand::ChatCommand(CLI::App& program)
    : Command(program, "chat", "Answer the last message of a conversation"),
      generate_(app()),
      intervention_(app(), VarFlags::Mode::kFlag) {
  app().add_option("FILE", file_, "JSON array of messages, as below. Default: standard input")->type_name("");
  AddVerboseFlag();
  AddConnectionFlags();
  app().footer(R"(Messages are written as for Hugging Face's chat templates:
  [{"role": "user", "content": [{"type": "image", "path": "cat.jpg"}, {"type": "text", "text": "What is it?"}]},
   {"role": "assistant", "content": "A cat."},
   {"role": "user", "content": "What does it do?"}]
)");
}

absl::Status ChatCommand::Prepare() {
  if (absl::Status status = intervention_.Read(output().json); !status.ok()) return status;
  absl::StatusOr<std::string> json = ReadInput(file_);
  if (!json.ok()) return json.status();
  std::vector<std::string> paths;  // in the order of the pictures
  absl::StatusOr<google::protobuf::RepeatedPtrField<v1::Message>> messages =
      ParseMessages(*json, [&](const std::string& path) {
        paths.push_back(path);
        return ReadInput(path);
      });
  if (!messages.ok()) return messages.status();
  *request_.mutable_messages() = *std::move(messages);
  auto path = paths.begin();
  for (int i = 0; i < request_.messages_size(); ++i) {
    for (int j = 0; j < request_.messages(i).parts_size(); ++j) {
      if (!request_.messages(i).parts(j).has_image()) continue;
      SetFile(absl::StrCat("messages[", i, "].parts[", j, "].image.data"), *path++);
    }
  }
  *request_.mutable_options() = generate_.options();
  intervention_.SetIn(request_);
  return absl::OkStatus();
}

absl::Status ChatCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                              Console& console) {
  AnswerOutput answer(output(), console);
  return client.Generate(request_, options, answer.callback()).status();
}

}  // namespace varserve::cli
