// Everything between a request's text and pictures and the model's prompt, loaded from one model directory.
// Thread-safe.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/prompt.h"
#include "server/base/stop.h"
#include "server/chat/image_token.h"
#include "server/image/image_decoder.h"
#include "server/image/image_processor.h"
#include "server/text/chat_template.h"
#include "server/text/prompt_builder.h"
#include "server/text/tokenizer.h"

namespace varserve::chat {

class Preprocessor {
 public:
  // Tokenizer and image processor are those of the directory, `image_token` and `vocabulary`, the number of
  // tokens, the model's. Errors name the file that is missing or wrong. A chat template is wrong if it has no
  // place for an image or writes tokens the model does not know.
  static absl::StatusOr<std::unique_ptr<const Preprocessor>> Load(
      const std::filesystem::path& model_dir, text::Tokenizer tokenizer,
      std::unique_ptr<const image::ImageProcessor> image_processor, const ImageToken& image_token,
      int vocabulary);

  struct ImageMemory {
    int64_t peak = 0;  // bytes that ProcessImage takes
    int64_t kept = 0;  // bytes of its result
  };
  // From the header of a picture, one of `num_images` in its conversation. INVALID_ARGUMENT beginning with
  // "image".
  absl::StatusOr<ImageMemory> MeasureImage(absl::string_view bytes, const image::ImageLimits& limits,
                                           int num_images = 1) const;

  // Decodes a picture and makes the vision tower's input from it. INVALID_ARGUMENT beginning with "image", or
  // what `stop` returns.
  absl::StatusOr<std::shared_ptr<const ProcessedImage>> ProcessImage(absl::string_view bytes,
                                                                     const image::ImageLimits& limits,
                                                                     Stop stop, int num_images = 1) const;
  // Equal for equal results of ProcessImage. `file`: the digest of the picture's bytes.
  Digest KeyOf(const Digest& file, int num_images) const;

  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  const text::ChatTemplate& chat_template() const { return chat_template_; }
  const image::ImageProcessor& image_processor() const { return *image_processor_; }
  const text::PromptBuilder& prompt_builder() const { return prompt_builder_; }

 private:
  Preprocessor(text::Tokenizer tokenizer, text::ChatTemplate chat_template,
               std::unique_ptr<const image::ImageProcessor> image_processor,
               const text::ImagePlaceholder& placeholder, int vocabulary);

  // A template shows its errors only when it is used: find them at startup, not at a request.
  absl::Status TryPrompts() const;

  const text::Tokenizer tokenizer_;
  const text::ChatTemplate chat_template_;
  const std::unique_ptr<const image::ImageProcessor> image_processor_;
  const text::PromptBuilder prompt_builder_;  // points to the members above
};

}  // namespace varserve::chat
