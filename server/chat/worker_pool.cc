#include "server/chat/worker_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace varserve::chat {
namespace {

constexpr int kNiceness = 10;  // a tenth of the weight of the threads that compute

}  // namespace

WorkerPool::WorkerPool(int num_threads) : max_running_per_caller_(std::max(1, num_threads - 1)) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Submit(const std::string& caller, Work work) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return false;
  auto found =
      std::find_if(callers_.begin(), callers_.end(), [&](const Caller& c) { return c.name == caller; });
  if (found == callers_.end()) found = callers_.insert(found, Caller{.name = caller, .waiting = {}});
  found->waiting.push_back(std::move(work));
  ++num_waiting_;
  return true;
}

WorkerPool::Callers::iterator WorkerPool::Next() {
  return std::find_if(callers_.begin(), callers_.end(), [this](const Caller& caller) {
    return !caller.waiting.empty() && caller.running < max_running_per_caller_;
  });
}

void WorkerPool::Run() {
  // Linux has priorities of threads. Where it fails, all have the same.
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
  while (true) {
    Work work;
    Callers::iterator caller;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &WorkerPool::CanGoOn));
      caller = Next();
      if (caller == callers_.end()) return;
      work = std::move(caller->waiting.front());
      caller->waiting.pop_front();
      --num_waiting_;
      ++caller->running;
      callers_.splice(callers_.end(), callers_, caller);
    }
    std::move(work)();
    work = nullptr;  // with what it holds
    absl::MutexLock lock(&mu_);
    if (--caller->running == 0 && caller->waiting.empty()) callers_.erase(caller);
  }
}

}  // namespace varserve::chat
