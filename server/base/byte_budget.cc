#include "server/base/byte_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace varserve {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(20);

}  // namespace

ByteBudget::Lease::Lease(Lease&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ByteBudget::Lease& ByteBudget::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  GiveBack();
  budget_ = std::exchange(other.budget_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

ByteBudget::Lease ByteBudget::Lease::Split(int64_t bytes) {
  bytes = std::clamp<int64_t>(bytes, 0, bytes_);
  bytes_ -= bytes;
  return {budget_, bytes};
}

void ByteBudget::Lease::ShrinkTo(int64_t bytes) { Split(bytes_ - bytes).GiveBack(); }

void ByteBudget::Lease::GiveBack() {
  if (budget_ == nullptr) return;
  absl::MutexLock lock(&budget_->mu_);
  budget_->free_ += std::exchange(bytes_, 0);
  budget_ = nullptr;
}

ByteBudget::Place::Place(ByteBudget& budget, int64_t bytes) : budget_(budget), bytes_(bytes) {
  absl::MutexLock lock(&budget_.mu_);
  at_ = budget_.queue_.insert(budget_.queue_.end(), this);
}

ByteBudget::Place::~Place() {
  absl::MutexLock lock(&budget_.mu_);
  budget_.queue_.erase(at_);
}

bool ByteBudget::Place::CanTake() const { return budget_.queue_.front() == this && budget_.free_ >= bytes_; }

bool ByteBudget::Place::Take() {
  absl::MutexLock lock(&budget_.mu_);
  if (!budget_.mu_.AwaitWithTimeout(absl::Condition(this, &Place::CanTake), kBetweenLooks)) return false;
  budget_.free_ -= bytes_;
  return true;
}

absl::StatusOr<ByteBudget::Lease> ByteBudget::Acquire(int64_t bytes, Stop stop) {
  if (bytes < 0 || bytes > size_) {
    return absl::InvalidArgumentError(absl::StrCat(bytes, " bytes are more than the ", size_, " there are"));
  }
  Place place(*this, bytes);
  do {
    if (absl::Status status = stop(); !status.ok()) return status;
  } while (!place.Take());
  return Lease(this, bytes);
}

int64_t ByteBudget::free() const {
  absl::MutexLock lock(&mu_);
  return free_;
}

}  // namespace varserve
