// A number of bytes shared by many threads. A thread that needs some waits until they are free, so all
// threads together never hold more. Only counts; allocates nothing. The budget must outlive its leases.
// Thread-safe.
//
// Acquire everything that a piece of work needs in one call, and give it back in parts. A thread that waits
// while it holds a lease can deadlock.
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
  // Bytes of a budget, given back by the destructor. Thread-compatible.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { GiveBack(); }

    int64_t bytes() const { return bytes_; }
    // Moves `bytes` of this lease, at most all of them, into a new one.
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

  // Waits, first come, first served, until `bytes` are free. INVALID_ARGUMENT if they exceed the budget; or
  // the error of `stop`, which is called immediately and then every few milliseconds.
  absl::StatusOr<Lease> Acquire(int64_t bytes, Stop stop) ABSL_LOCKS_EXCLUDED(mu_);

  int64_t size() const { return size_; }
  int64_t free() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A place in the queue; the destructor leaves it.
  class Place {
   public:
    Place(ByteBudget& budget, int64_t bytes) ABSL_LOCKS_EXCLUDED(budget.mu_);
    ~Place() ABSL_LOCKS_EXCLUDED(budget_.mu_);
    // Takes the bytes if this place is first and they become free before `stop` is due again.
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
  std::list<const Place*> queue_ ABSL_GUARDED_BY(mu_);  // front is served next
};

}  // namespace varserve
