#include "server/rpc/stream_watchdog.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace varserve::rpc {

StreamWatchdog::StreamWatchdog(absl::Duration write_timeout)
    : write_timeout_(write_timeout), thread_([this] { Run(); }) {}

StreamWatchdog::~StreamWatchdog() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void StreamWatchdog::Watch(const std::shared_ptr<StreamReactor>& stream) {
  absl::MutexLock lock(&mu_);
  streams_.push_back(stream);
}

void StreamWatchdog::Run() {
  const auto stopping = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_; };
  while (true) {
    std::vector<std::shared_ptr<StreamReactor>> alive;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &StreamWatchdog::HasStreams));
      // Looks a few times within the allowed time, so that a stalled call ends soon after it.
      if (mu_.AwaitWithTimeout(absl::Condition(&stopping), write_timeout_ / 4)) return;
      streams_.erase(
          std::remove_if(streams_.begin(), streams_.end(), [](const auto& s) { return s.expired(); }),
          streams_.end());
      for (const auto& stream : streams_) {
        if (auto locked = stream.lock()) alive.push_back(std::move(locked));
      }
    }
    const absl::Time now = absl::Now();
    for (const auto& stream : alive) {
      if (stream->write_age(now) > write_timeout_) stream->Break();
    }
  }
}

}  // namespace varserve::rpc
