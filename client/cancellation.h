// Ends calls from another thread. Thread-safe. Once cancelled it stays so: later calls end at once.
#pragma once

#include <grpcpp/client_context.h>

#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace varserve::client {

class Cancellation {
 public:
  // The calls given this object end with CANCELLED.
  void Cancel() ABSL_LOCKS_EXCLUDED(mu_);
  bool cancelled() const ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for so long, or until Cancel. True if cancelled.
  bool WaitFor(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mu_);

  // A call that Cancel reaches, from construction to destruction; the context must live longer.
  // `cancellation` may be null.
  class Scope {
   public:
    Scope(Cancellation* cancellation, grpc::ClientContext& context);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Cancellation* const cancellation_;
    grpc::ClientContext* const context_;
  };

 private:
  mutable absl::Mutex mu_;
  absl::CondVar cancel_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::set<grpc::ClientContext*> running_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::client
