#include "server/chat/sibling_prompt.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/interventions/vcd/diffusion_noise.h"

namespace varserve::chat {
namespace {

using interventions::DisturbedInstruction;
using interventions::NoisyPictures;
using text::ImagePart;
using text::Message;
using text::Part;

bool IsText(const Part& part) { return std::holds_alternative<std::string>(part); }

// The text after pictures stays after them, so that the sibling shares their prefix.
void Disturb(const std::string& disturbance, Message& message) {
  const auto text = std::find_if(message.parts.begin(), message.parts.end(), IsText);
  if (text == message.parts.end()) {
    message.parts.emplace_back(disturbance);
  } else {
    *text = absl::StrCat(disturbance, " ", std::get<std::string>(*text));
  }
}

void RemovePictures(Message& message) {
  std::erase_if(message.parts, [](const Part& part) { return std::holds_alternative<ImagePart>(part); });
  if (message.parts.empty()) message.parts.emplace_back("");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Prompt>> MakeSiblingPrompt(const text::PromptBuilder& prompts,
                                                                absl::Span<const Message> messages,
                                                                const Prompt& prompt,
                                                                const interventions::SiblingPrompt& sibling,
                                                                int context) {
  if (prompt.images.empty()) return nullptr;
  if (const auto* noisy = std::get_if<NoisyPictures>(&sibling))
    return interventions::WithNoise(prompt, noisy->step, noisy->seed);

  std::vector<Message> conversation(messages.begin(), messages.end());
  absl::Span<const std::shared_ptr<const ProcessedImage>> images;
  if (const auto* disturbed = std::get_if<DisturbedInstruction>(&sibling)) {
    Disturb(disturbed->disturbance, conversation.back());
    images = prompt.images;
  } else {
    for (Message& message : conversation) RemovePictures(message);
  }
  absl::StatusOr<Prompt> built = prompts.Build(conversation, images, context);
  if (!built.ok()) return Prefixed("the sibling's prompt: ", built.status());
  return std::make_shared<const Prompt>(*std::move(built));
}

}  // namespace varserve::chat
