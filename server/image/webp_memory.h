// Limits libwebp's memory. The header of a lossless WebP does not say what decoding takes: 300 kB of prefix
// codes become 800 MB of tables. libwebp has no such setting, but it exports the functions it allocates with
// and calls them by name, so those of webp_memory.cc replace them. A test decodes such a file, and fails if a
// build of libwebp does not call them. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>

namespace varserve::image {

// While it exists, libwebp gets at most `bytes` on this thread; beyond that, allocation fails, which it
// reports.
class WebpMemoryLimit {
 public:
  explicit WebpMemoryLimit(int64_t bytes);
  ~WebpMemoryLimit();
  WebpMemoryLimit(const WebpMemoryLimit&) = delete;
  WebpMemoryLimit& operator=(const WebpMemoryLimit&) = delete;

  // Whether libwebp requested more.
  bool reached() const;
};

}  // namespace varserve::image
