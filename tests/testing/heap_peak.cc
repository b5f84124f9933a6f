#include "tests/testing/heap_peak.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

std::atomic<int64_t> held = 0;
std::atomic<int64_t> peak = 0;

void* Taken(void* memory) {
  const int64_t now = held += static_cast<int64_t>(malloc_usable_size(memory));
  int64_t before = peak;
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
  return memory;
}

void Given(void* memory) { held -= static_cast<int64_t>(malloc_usable_size(memory)); }

}  // namespace

extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* memory);

void* malloc(size_t size) { return Taken(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return Taken(__libc_calloc(count, size)); }
void* realloc(void* memory, size_t size) {
  Given(memory);
  return Taken(__libc_realloc(memory, size));
}
void* memalign(size_t alignment, size_t size) { return Taken(__libc_memalign(alignment, size)); }
void* aligned_alloc(size_t alignment, size_t size) { return Taken(__libc_memalign(alignment, size)); }
int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = Taken(__libc_memalign(alignment, size));
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  Given(memory);
  __libc_free(memory);
}
}

namespace varserve::testing {

HeapPeak::HeapPeak() : before_(held) { peak = before_; }

int64_t HeapPeak::bytes() const { return peak - before_; }

}  // namespace varserve::testing
