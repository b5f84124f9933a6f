// The pictures of one request, within memory that all requests share. Thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/base/byte_budget.h"
#include "server/base/prompt.h"
#include "server/base/stop.h"
#include "server/chat/preprocessor.h"
#include "server/image/image_decoder.h"

namespace varserve::chat {

struct EncodedImage {
  absl::string_view name;  // for messages
  absl::string_view bytes;
  std::shared_ptr<const ProcessedImage>
      kept;  // what these bytes became before, if known; then they are not read
};

// Processes the pictures one after the other, once `memory` has room for all results and for decoding the
// most expensive one; each result keeps its part. `on_decoded` gets the index of each picture that was
// decoded, and its result without a part of `memory`. INVALID_ARGUMENT beginning with a picture's name if it
// cannot be processed or can never fit this memory; or what `stop` returns, which is asked while waiting and
// while decoding.
absl::StatusOr<std::vector<std::shared_ptr<const ProcessedImage>>> ProcessImages(
    const Preprocessor& preprocessor, absl::Span<const EncodedImage> images, const image::ImageLimits& limits,
    ByteBudget& memory, Stop stop,
    absl::FunctionRef<void(size_t index, const std::shared_ptr<const ProcessedImage>& image)> on_decoded);

}  // namespace varserve::chat
