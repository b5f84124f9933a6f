// Loops whose index is a constant, so that arrays it indexes stay in registers. Included only by isa_*.cc,
// and by a test with emulated tiles.
#pragma once

namespace varserve::backend::cpu::VARSERVE_ISA {

// f<0>(), f<1>(), ... f<N - 1>()
template <int N, typename F>
[[gnu::always_inline]] static inline void ForEach(F f) {
  if constexpr (N > 0) {
    ForEach<N - 1>(f);
    f.template operator()<N - 1>();
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
