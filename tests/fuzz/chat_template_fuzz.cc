// Any conversation becomes a prompt whose special tokens are the template's alone, or is refused; any
// template compiles and renders, or is refused.
//
// Input: a first byte, then pieces separated by zero bytes. With an even first byte they are the texts of
// messages for the test model's own template; with an odd one the first piece is the template.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/text/prompt_builder.h"
#include "tests/testing/files.h"
#include "tests/testing/image_span.h"

namespace {

using namespace varserve;        // NOLINT
using namespace varserve::text;  // NOLINT

void Check(bool condition) {
  if (!condition) std::abort();
}

struct Model {
  Model()
      : tokenizer(*Tokenizer::Load(kDir, kImage)),
        chat_template(*ChatTemplate::Load(kDir, tokenizer.named_tokens())),
        builder(&tokenizer, &chat_template, {.token_id = kImage, .least_tokens = 1}, 1 << 20) {}

  // tests/golden: BOS from the tokenizer, a placeholder for each image, an EOS after each answer.
  static inline const std::string kDir = RepositoryPath("tests/golden/text/llama");
  static constexpr int32_t kImage = 1067;

  Tokenizer tokenizer;
  ChatTemplate chat_template;
  PromptBuilder builder;
};

std::vector<Message> Conversation(const std::vector<std::string>& texts) {
  std::vector<Message> messages;
  for (const std::string& text : texts) {
    messages.push_back({messages.size() % 2 == 0 ? Role::kUser : Role::kAssistant, {text}});
  }
  messages.push_back({Role::kUser, {ImagePart(), "What is this?"}});
  return messages;
}

std::vector<int32_t> SpecialTokens(const Model& model, const Prompt& prompt) {
  std::vector<int32_t> special;
  std::copy_if(prompt.token_ids.begin(), prompt.token_ids.end(), std::back_inserter(special),
               [&](int32_t id) { return model.tokenizer.Kind(id) == TokenKind::kSpecial; });
  return special;
}

void CheckPrompt(const Model& model, const std::vector<std::string>& texts) {
  const std::vector<std::shared_ptr<const ProcessedImage>> images = {std::make_shared<const ProcessedImage>(
      ProcessedImage{.layout = testing::MakeLayout(1, 1, 1, Model::kImage)})};
  const std::vector<Message> messages = Conversation(texts);
  const auto prompt = model.builder.Build(messages, images);
  if (!prompt.ok()) {
    Check(absl::IsInvalidArgument(prompt.status()));
    return;
  }
  const auto harmless =
      model.builder.Build(Conversation(std::vector<std::string>(texts.size(), "a")), images);
  Check(SpecialTokens(model, *prompt) == SpecialTokens(model, *harmless));
  Check(prompt->spans.size() == 1);
  // A context that it fills leaves no room; with one more there is.
  Check(absl::IsInvalidArgument(model.builder.Build(messages, images, prompt->size()).status()));
  Check(model.builder.CheckText(messages, images.size(), prompt->size() + 1).ok() &&
        model.builder.Build(messages, images, prompt->size() + 1)->token_ids == prompt->token_ids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Model model;
  if (size == 0) return 0;
  std::vector<std::string> pieces =
      absl::StrSplit(absl::string_view(reinterpret_cast<const char*>(data + 1), size - 1), '\0');
  if (data[0] % 2 == 0) {
    CheckPrompt(model, pieces);
    return 0;
  }
  const auto chat_template = ChatTemplate::Compile(pieces.front(), model.tokenizer.named_tokens());
  if (!chat_template.ok()) return 0;
  pieces.erase(pieces.begin());
  const auto text = chat_template->Render(Conversation(pieces));
  Check(text.ok() || absl::IsInvalidArgument(text.status()));
  return 0;
}
