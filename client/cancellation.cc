#include "client/cancellation.h"

#include "absl/time/clock.h"

namespace varserve::client {

void Cancellation::Cancel() {
  absl::MutexLock lock(&mu_);
  cancelled_ = true;
  for (grpc::ClientContext* context : running_) context->TryCancel();
  cancel_.SignalAll();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(&mu_);
  return cancelled_;
}

bool Cancellation::WaitFor(absl::Duration duration) {
  const absl::Time end = absl::Now() + duration;
  absl::MutexLock lock(&mu_);
  while (!cancelled_ && !cancel_.WaitWithDeadline(&mu_, end)) {
  }
  return cancelled_;
}

Cancellation::Scope::Scope(Cancellation* cancellation, grpc::ClientContext& context)
    : cancellation_(cancellation), context_(&context) {
  if (cancellation_ == nullptr) return;
  absl::MutexLock lock(&cancellation_->mu_);
  cancellation_->running_.insert(context_);
  if (cancellation_->cancelled_) context_->TryCancel();
}

Cancellation::Scope::~Scope() {
  if (cancellation_ == nullptr) return;
  absl::MutexLock lock(&cancellation_->mu_);
  cancellation_->running_.erase(context_);
}

}  // namespace varserve::client
