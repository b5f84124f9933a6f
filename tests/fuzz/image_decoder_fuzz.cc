// Any bytes sent as a picture give a whole picture, which can be processed, or a refusal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "server/preprocess/image_decoder.h"
#include "server/preprocess/image_processor.h"

namespace {

using varserve::preprocess::ImageProcessor;

void Check(bool condition) {
  if (!condition) std::abort();
}

const ImageProcessor& Processor() {
  static const ImageProcessor processor = *ImageProcessor::FromConfig(
      {{"image_processor_type", "LlavaImageProcessor"}, {"size", 8}, {"crop_size", 8}});
  return processor;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto image = varserve::preprocess::DecodeImage(bytes, {.max_bytes = 1 << 20, .max_pixels = 1 << 16});
  if (!image.ok()) {
    Check(absl::IsInvalidArgument(image.status()) && absl::StartsWith(image.status().message(), "image"));
    return 0;
  }
  Check(image->rgb.size() == size_t{3} * image->width * image->height && !image->rgb.empty());
  const auto processed = Processor().Process(*image);
  Check(processed.ok() ? processed->pixels.size() == 3 * 8 * 8 : absl::IsInvalidArgument(processed.status()));
  return 0;
}
