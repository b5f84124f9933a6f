// Gives memory that requests have freed back to the system. glibc keeps freed blocks below 32 MiB for the next request,
// in an arena for every few threads, and whatever small block lives on above them keeps gigabytes in the process for
// good after a burst of large requests. Not thread-safe.
#pragma once

#include "absl/time/time.h"

namespace varserve {

class HeapTrim {
 public:
  // To be called about once a second, on a thread that serves no request: trims every kInterval. It takes
  // milliseconds and holds one arena's lock at a time.
  void Look(absl::Time now);

 private:
  static constexpr absl::Duration kInterval = absl::Seconds(20);
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace varserve
