#include "server/rpc/worker_pool.h"

#include <utility>

namespace varserve::rpc {

WorkerPool::WorkerPool(int num_threads, int64_t max_waiting_bytes) : max_waiting_bytes_(max_waiting_bytes) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Submit(int64_t bytes, Work work) {
  absl::MutexLock lock(&mu_);
  if (stopping_ || (!waiting_.empty() && waiting_bytes_ + bytes > max_waiting_bytes_)) return false;
  waiting_bytes_ += bytes;
  waiting_.push_back({bytes, std::move(work)});
  return true;
}

void WorkerPool::Run() {
  while (true) {
    Work work;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &WorkerPool::CanGoOn));
      if (waiting_.empty()) return;
      work = std::move(waiting_.front().work);
      waiting_bytes_ -= waiting_.front().bytes;
      waiting_.pop_front();
    }
    std::move(work)();
  }
}

}  // namespace varserve::rpc
