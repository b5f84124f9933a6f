// A number of bytes that many threads share: whoever needs some waits until they are free, so that together
// they never hold more. It counts only; nothing is allocated here. The budget must outlive its leases.
// Thread-safe.
//
// Acquire once for all that a piece of work needs, and give back in parts: whoever waits while he holds
// something may wait for ever.
#pragma once

#include <cstdint>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/stop.h"

namespace varserve {

class ByteBudget {
 public:
  // Bytes of a budget, given back when it is destroyed. Thread-compatible.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { GiveBack(); }

    int64_t bytes() const { return bytes_; }
    // Takes `bytes` of this lease, at most all, into one of their own.
    Lease Split(int64_t bytes);
    // Gives back all but `bytes`.
    void ShrinkTo(int64_t bytes);

   private:
    friend class ByteBudget;
    Lease(ByteBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}
    void GiveBack();

    ByteBudget* budget_ = nullptr;
    int64_t bytes_ = 0;
  };

  explicit ByteBudget(int64_t bytes) : size_(bytes), free_(bytes) {}

  // Waits, first come, first served, until `bytes` are free. INVALID_ARGUMENT if there are never so many;
  // whatever `stop` says, asked at once and then every few milliseconds.
  absl::StatusOr<Lease> Acquire(int64_t bytes, Stop stop) ABSL_LOCKS_EXCLUDED(mu_);

  int64_t size() const { return size_; }
  int64_t free() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A place in the queue, left when it is destroyed.
  class Place {
   public:
    Place(ByteBudget& budget, int64_t bytes) ABSL_LOCKS_EXCLUDED(budget.mu_);
    ~Place() ABSL_LOCKS_EXCLUDED(budget_.mu_);
    // Takes the bytes if this place becomes the first and they are free before the next look at `stop`.
    bool Take() ABSL_LOCKS_EXCLUDED(budget_.mu_);

   private:
    bool CanTake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(budget_.mu_);

    ByteBudget& budget_;
    const int64_t bytes_;
    std::list<const Place*>::iterator at_;
  };

  const int64_t size_;
  mutable absl::Mutex mu_;
  int64_t free_ ABSL_GUARDED_BY(mu_);
  std::list<const Place*> queue_ ABSL_GUARDED_BY(mu_);  // the first is served next
};

}  // namespace varserve
