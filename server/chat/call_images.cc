#include "server/chat/call_images.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"
#include "server/chat/request_images.h"

namespace varserve::chat {
namespace {

absl::Status NotKept(const ChatRequest::Picture& picture, const ImageCache& cache) {
  return absl::NotFoundError(absl::StrCat(
      picture.field, ": ",
      cache.enabled() ? "the server does not have this picture of yours (any more); send the picture itself"
                      : "this server keeps no pictures (--image_cache); send the picture itself"));
}

// What the cache has. NOT_FOUND if a picture that is only named is missing.
absl::StatusOr<std::vector<EncodedImage>> LookUp(const ChatRequest& chat, const std::vector<Digest>& digests,
                                                 const std::string& caller, const ImageResources& resources) {
  std::vector<EncodedImage> images;
  int named = 0;
  int found = 0;
  absl::Status missing;
  for (size_t i = 0; i < chat.pictures.size(); ++i) {
    const ChatRequest::Picture& picture = chat.pictures[i];
    EncodedImage image{.name = picture.field, .bytes = "", .kept = nullptr};
    if (!digests.empty()) image.kept = resources.cache->Find(caller, digests[i]);
    if (picture.bytes != nullptr) {
      image.bytes = *picture.bytes;
    } else {
      ++named;
      found += image.kept != nullptr ? 1 : 0;
      if (image.kept == nullptr && missing.ok()) missing = NotKept(picture, *resources.cache);
    }
    images.push_back(std::move(image));
  }
  resources.metrics->OnImagesNamed(named, found);
  if (!missing.ok()) return missing;
  return images;
}

}  // namespace

absl::StatusOr<CallImages> ProcessCallImages(const Preprocessor& preprocessor, const ChatRequest& chat,
                                             const std::string& caller, const v1::Model::Limits& limits,
                                             const ImageResources& resources, Stop stop) {
  if (chat.pictures.size() > limits.max_images()) {
    return Invalid(chat.pictures[limits.max_images()].field,
                   absl::StrCat("at most ", limits.max_images(), " images per request (Limits.max_images)"));
  }
  ImageCache& cache = *resources.cache;
  std::vector<Digest> digests;
  for (const ChatRequest::Picture& picture : chat.pictures) {
    if (!cache.enabled()) break;
    digests.push_back(preprocessor.KeyOf(picture.bytes != nullptr ? Sha256({*picture.bytes}) : picture.digest,
                                         static_cast<int>(chat.pictures.size())));
  }
  ASSIGN_OR_RETURN(const std::vector<EncodedImage> images, LookUp(chat, digests, caller, resources));
  CallImages result{.images = {}, .kept = cache.enabled() && !images.empty()};
  const image::ImageLimits image_limits{.max_bytes = limits.max_image_bytes(),
                                        .max_pixels = static_cast<int64_t>(limits.max_image_pixels())};
  ASSIGN_OR_RETURN(result.images,
                   ProcessImages(preprocessor, images, image_limits, *resources.memory, stop,
                                 [&](size_t index, const std::shared_ptr<const ProcessedImage>& image) {
                                   if (cache.enabled() && !cache.Keep(caller, digests[index], image))
                                     result.kept = false;
                                 }));
  resources.metrics->OnImageCache(cache.bytes());
  return result;
}

}  // namespace varserve::chat
