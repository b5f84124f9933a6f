// Processed images that callers sent lately, so that a caller can name one by the SHA-256 of its file instead
// of sending it again. Holds a bounded number of bytes; when they are used up, the caller with the most bytes
// loses its least recently used image. Nobody finds an image that only others sent. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/base/digest.h"
#include "server/base/prompt.h"

namespace varserve::chat {

class ImageCache {
 public:
  // At most `bytes` of images; 0: none.
  explicit ImageCache(int64_t bytes) : max_bytes_(bytes) {}

  bool enabled() const { return max_bytes_ > 0; }
  // Null if this caller has no such image here.
  std::shared_ptr<const ProcessedImage> Find(absl::string_view caller, const Digest& digest)
      ABSL_LOCKS_EXCLUDED(mu_);
  // `digest`: of the file that `image` was made of. False if it is too large to be kept.
  bool Keep(absl::string_view caller, const Digest& digest, std::shared_ptr<const ProcessedImage> image)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Of all images here.
  int64_t bytes() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    Digest digest;
    std::shared_ptr<const ProcessedImage> image;
    int64_t bytes = 0;
  };
  struct Caller {
    std::list<Entry> entries;  // the most recently used one first
    absl::flat_hash_map<Digest, std::list<Entry>::iterator> by_digest;
    int64_t bytes = 0;
  };
  using Callers = absl::flat_hash_map<std::string, Caller>;

  // The entry, now the most recently used one of its caller; null if there is none.
  Entry* Use(absl::string_view caller, const Digest& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Drops one image to make room for `bytes` of `caller`.
  void DropOne(absl::string_view caller, int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int64_t max_bytes_;
  mutable absl::Mutex mu_;
  Callers callers_ ABSL_GUARDED_BY(mu_);  // those with an image
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace varserve::chat
