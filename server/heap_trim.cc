#include "server/heap_trim.h"

#include <malloc.h>

namespace varserve {

void UseOneHeapArena() { mallopt(M_ARENA_MAX, 1); }

void HeapTrim::Look(absl::Time now) {
  if (now < next_) return;
  next_ = now + kInterval;
  malloc_trim(0);
}

}  // namespace varserve
