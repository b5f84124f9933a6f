// The model's chat template (Jinja, in the dialect transformers renders): turns a conversation into the text
// the model was trained on. Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/preprocess/message.h"
#include "server/preprocess/tokenizer_ffi/tokenizer_ffi.h"

namespace varserve::preprocess {

class ChatTemplate {
 public:
  // Looks where transformers looks, in its order. Errors name the file, or the files that were looked for.
  static absl::StatusOr<ChatTemplate> Load(const std::filesystem::path& model_dir);

  static absl::StatusOr<ChatTemplate> Compile(std::string source);

  // The conversation with the beginning of the assistant's answer. `named_tokens` are the template's
  // variables bos_token, eos_token and so on. INVALID_ARGUMENT if the template refuses the conversation,
  // INTERNAL if it fails.
  absl::StatusOr<std::string> Render(absl::Span<const Message> messages,
                                     const std::map<std::string, std::string>& named_tokens) const;

  const std::string& source() const { return source_; }

 private:
  struct Free {
    void operator()(TfTemplate* chat_template) const { tf_template_free(chat_template); }
  };

  ChatTemplate(std::string source, TfTemplate* chat_template);

  std::string source_;
  std::unique_ptr<TfTemplate, Free> template_;
};

}  // namespace varserve::preprocess
