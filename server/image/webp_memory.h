// Keeps libwebp within bounds. What a lossless WebP takes cannot be told by its header: 300 kB of prefix
// codes become 800 MB of tables. libwebp has no limit to set, but it exports the functions it allocates with,
// and calls them by name, so those of webp_memory.cc take their place. A test decodes such a file; it fails
// where a build of libwebp does otherwise. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>

namespace varserve::image {

// While it lives, libwebp gets at most `bytes` on this thread, and then none, which it reports as an error.
class WebpMemoryLimit {
 public:
  explicit WebpMemoryLimit(int64_t bytes);
  ~WebpMemoryLimit();
  WebpMemoryLimit(const WebpMemoryLimit&) = delete;
  WebpMemoryLimit& operator=(const WebpMemoryLimit&) = delete;

  // Whether libwebp asked for more.
  bool reached() const;
};

}  // namespace varserve::image
