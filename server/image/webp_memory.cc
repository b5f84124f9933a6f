#include "server/image/webp_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace varserve::image {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

thread_local int64_t bytes_left = kNoLimit;
thread_local bool limit_reached = false;

void* Allocate(uint64_t count, size_t size, void* (*allocate)(size_t count, size_t size)) {
  if (size != 0 && count > static_cast<uint64_t>(std::max<int64_t>(bytes_left, 0)) / size) {
    limit_reached = true;
    return nullptr;
  }
  void* const memory = allocate(count, size);
  if (bytes_left != kNoLimit) bytes_left -= static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}

}  // namespace

WebpMemoryLimit::WebpMemoryLimit(int64_t bytes) {
  bytes_left = bytes;
  limit_reached = false;
}

WebpMemoryLimit::~WebpMemoryLimit() { bytes_left = kNoLimit; }

bool WebpMemoryLimit::reached() const { return limit_reached; }

}  // namespace varserve::image

// In place of libwebp's own.
extern "C" {

void* WebPSafeMalloc(uint64_t count, size_t size) {
  return varserve::image::Allocate(count, size, [](size_t n, size_t s) { return std::malloc(n * s); });
}

void* WebPSafeCalloc(uint64_t count, size_t size) {
  return varserve::image::Allocate(count, size, std::calloc);
}

void WebPSafeFree(void* memory) {
  if (varserve::image::bytes_left != varserve::image::kNoLimit) {
    varserve::image::bytes_left += static_cast<int64_t>(malloc_usable_size(memory));
  }
  std::free(memory);
}
}
