// The images of one call: those that it names, from the cache; the others decoded, and kept there.
// Thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/byte_budget.h"
#include "server/base/prompt.h"
#include "server/base/stop.h"
#include "server/chat/chat_request.h"
#include "server/chat/image_cache.h"
#include "server/chat/preprocessor.h"
#include "server/telemetry/metrics.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

// What the images of all calls share.
struct ImageResources {
  ByteBudget* memory = nullptr;  // for decoding them, and for them until their calls end
  ImageCache* cache = nullptr;
  telemetry::Metrics* metrics = nullptr;
};

struct CallImages {
  std::vector<std::shared_ptr<const ProcessedImage>> images;  // in the order of the call's pictures
  bool kept = false;                                          // the cache has all of them, and there are some
};

// INVALID_ARGUMENT, or NOT_FOUND for a digest, beginning with a picture's name; or what `stop` returns, see
// request_images.h.
absl::StatusOr<CallImages> ProcessCallImages(const Preprocessor& preprocessor, const ChatRequest& chat,
                                             const std::string& caller, const v1::Model::Limits& limits,
                                             const ImageResources& resources, Stop stop);

}  // namespace varserve::chat
