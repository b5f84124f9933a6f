// The model's chat template (Jinja, in the dialect transformers renders): turns a conversation into the text
// the model was trained on. The content of a message is a list of parts, as transformers' processors take it;
// a message of text alone is a string where the template needs that. Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/text/message.h"
#include "server/text/tokenizer_ffi/tokenizer_ffi.h"

namespace varserve::text {

class ChatTemplate {
 public:
  // Looks for files where transformers does, in its order. Errors name the file or files.
  // `named_tokens` are the template's variables bos_token, eos_token and so on.
  static absl::StatusOr<ChatTemplate> Load(const std::filesystem::path& model_dir,
                                           const std::map<std::string, std::string>& named_tokens);

  static absl::StatusOr<ChatTemplate> Compile(std::string source,
                                              const std::map<std::string, std::string>& named_tokens = {});

  // The conversation, followed by the beginning of the assistant's answer. INVALID_ARGUMENT naming `messages`
  // if the template rejects the conversation, fails on it or takes too long.
  absl::StatusOr<std::string> Render(absl::Span<const Message> messages) const;

  const std::string& source() const { return source_; }

 private:
  struct Free {
    void operator()(TfTemplate* chat_template) const { tf_template_free(chat_template); }
  };

  ChatTemplate(std::string source, TfTemplate* chat_template,
               const std::map<std::string, std::string>& named_tokens);

  // Whether the template expects a text-only message of this role as a string: it writes the text of a
  // string, but not that of a list.
  bool TakesString(Role role);

  std::string source_;
  std::unique_ptr<TfTemplate, Free> template_;
  std::map<std::string, std::string> named_tokens_;
  // Roles whose text-only messages the template expects as strings, not as lists of parts.
  std::set<Role> string_roles_;
};

}  // namespace varserve::text
