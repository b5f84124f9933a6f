// How much the heap holds at its peak. Replaces malloc in the test that links it: not together with
// sanitizers. Thread-safe.
#pragma once

#include <cstdint>

namespace varserve::testing {

class HeapPeak {
 public:
  HeapPeak();
  // Bytes held at the peak since this was made, in addition to what was held then.
  int64_t bytes() const;

 private:
  int64_t before_;
};

}  // namespace varserve::testing
