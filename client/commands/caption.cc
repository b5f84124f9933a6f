#include "client/commands/caption.h"

#include <utility>

#include "client/cli/input_file.h"
#include "client/cli/message_fields.h"

namespace varserve::cli {

CaptionCommand::CaptionCommand(CLI::App& program)
    : Command(program, "caption", "Describe a picture"),
      generate_(app()),
      intervention_(app(), VarFlags::Mode::kFlag) {
  app()
      .add_option("IMAGE", image_, "JPEG, PNG or WebP file, - for standard input")
      ->required()
      ->type_name("");
  AddFieldFlag(app(), request_, "length", "A few words, one sentence, or several. Default: medium");
  AddVerboseFlag();
  AddConnectionFlags();
}

absl::Status CaptionCommand::Prepare() {
  if (absl::Status status = intervention_.Read(output().json); !status.ok()) return status;
  absl::StatusOr<std::string> image = ReadInput(image_);
  if (!image.ok()) return image.status();
  request_.mutable_image()->set_data(*std::move(image));
  SetFile("image.data", image_);
  *request_.mutable_options() = generate_.options();
  intervention_.SetIn(request_);
  return absl::OkStatus();
}

absl::Status CaptionCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                                 Console& console) {
  AnswerOutput answer(output(), console);
  return client.Caption(request_, options, answer.callback()).status();
}

}  // namespace varserve::cli
