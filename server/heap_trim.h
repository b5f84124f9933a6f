// Gives memory that requests have freed back to the system. glibc keeps freed blocks below 32 MiB for the
// next request: between blocks that live on, however few, and up to 64 MiB at the end of each arena, of which
// there may be eight for every CPU. So one burst of large requests would keep gigabytes in the process for
// good. Not thread-safe.
#pragma once

#include "absl/time/time.h"

namespace varserve {

// To be called before there are threads. Trimming releases the end of the first arena only, not those of
// other arenas. Threads keep small blocks of their own, so they seldom wait for each other.
void UseOneHeapArena();

class HeapTrim {
 public:
  // To be called about once a second, on a thread that serves no request: trims every kInterval. That takes a
  // few milliseconds, more after a burst, in which no thread gets a larger block.
  void Look(absl::Time now);

 private:
  static constexpr absl::Duration kInterval = absl::Seconds(20);
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace varserve
