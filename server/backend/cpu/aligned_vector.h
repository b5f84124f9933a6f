// Vectors that begin at a cache line: tiles and 64-byte registers that read them touch one line each.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace varserve::backend::cpu {

template <typename T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  CacheLineAllocator() = default;
  template <typename U>
  explicit CacheLineAllocator(const CacheLineAllocator<U>& /*other*/) {}

  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* values, size_t /*count*/) { ::operator delete(values, kLine); }

  bool operator==(const CacheLineAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace varserve::backend::cpu
