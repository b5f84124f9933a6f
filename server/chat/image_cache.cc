#include "server/chat/image_cache.h"

#include <algorithm>
#include <utility>

namespace varserve::chat {
namespace {

constexpr int64_t kEntryBytes = 1024;  // an entry without its pixels, and its share of its caller

}  // namespace

ImageCache::Entry* ImageCache::Use(absl::string_view caller, const Digest& digest) {
  const auto owner = callers_.find(caller);
  if (owner == callers_.end()) return nullptr;
  const auto found = owner->second.by_digest.find(digest);
  if (found == owner->second.by_digest.end()) return nullptr;
  std::list<Entry>& entries = owner->second.entries;
  entries.splice(entries.begin(), entries, found->second);
  return &entries.front();
}

std::shared_ptr<const ProcessedImage> ImageCache::Find(absl::string_view caller, const Digest& digest) {
  absl::MutexLock lock(&mu_);
  const Entry* entry = Use(caller, digest);
  return entry == nullptr ? nullptr : entry->image;
}

bool ImageCache::Keep(absl::string_view caller, const Digest& digest,
                      std::shared_ptr<const ProcessedImage> image) {
  const int64_t bytes = kEntryBytes + static_cast<int64_t>(image->rgb.size());
  if (bytes > max_bytes_) return false;
  absl::MutexLock lock(&mu_);
  if (Use(caller, digest) != nullptr) return true;
  while (bytes_ + bytes > max_bytes_) DropOne(caller, bytes);
  Caller& owner = callers_[std::string(caller)];
  owner.entries.push_front({.digest = digest, .image = std::move(image), .bytes = bytes});
  owner.by_digest[digest] = owner.entries.begin();
  owner.bytes += bytes;
  bytes_ += bytes;
  return true;
}

void ImageCache::DropOne(absl::string_view caller, int64_t bytes) {
  // With the new image, so that nobody grows at the expense of a caller who has less.
  const auto with_new = [&](const Callers::value_type& one) {
    return one.second.bytes + (one.first == caller ? bytes : 0);
  };
  const auto most = std::max_element(callers_.begin(), callers_.end(),
                                     [&](const auto& a, const auto& b) { return with_new(a) < with_new(b); });
  Caller& owner = most->second;
  const Entry& oldest = owner.entries.back();
  owner.bytes -= oldest.bytes;
  bytes_ -= oldest.bytes;
  owner.by_digest.erase(oldest.digest);
  owner.entries.pop_back();
  if (owner.entries.empty()) callers_.erase(most);
}

int64_t ImageCache::bytes() const {
  absl::MutexLock lock(&mu_);
  return bytes_;
}

}  // namespace varserve::chat
