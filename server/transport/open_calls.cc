#include "server/transport/open_calls.h"

#include <malloc.h>

#include <chrono>
namespace varserve::transport {
namespace {

// Shorter while a message is arriving, so that a fast one is noticed before it is far too large.
constexpr std::chrono::milliseconds kLookAtMessages{20};
constexpr std::chrono::milliseconds kLookAtCalls{100};

}  // namespace

OpenCalls::OpenCalls(const Options& options)
    : options_(options), receive_(options.receive), thread_([this] { Run(); }) {
  absl::MutexLock lock(&mu_);
  receive_.MeasureWith([this](const std::string& peer)
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return BytesReceived(peer); });
}

OpenCalls::~OpenCalls() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void OpenCalls::Add(const std::shared_ptr<OpenCall>& call) {
  absl::MutexLock lock(&mu_);
  calls_.emplace(call.get(), call);
}

void OpenCalls::Remove(OpenCall* call) {
  absl::MutexLock lock(&mu_);
  calls_.erase(call);
}

OpenCalls::Hold OpenCalls::BeginMessage(OpenCall* call, int64_t max_bytes) {
  const std::string peer = call->peer();
  std::vector<ReceiveMemory::Verdict> verdicts;
  ReceiveMemory::MessageId id = 0;
  {
    absl::MutexLock lock(&mu_);
    id = next_id_++;
    arriving_.emplace(id, call);
    auto verdict = receive_.Begin(id, peer, call->caller(), max_bytes, options_.clock->Now());
    if (verdict.has_value()) verdicts.push_back(*std::move(verdict));
  }
  GiveUp(verdicts);
  return {this, id};
}

absl::Status OpenCalls::CompleteMessage(const Hold& message, int64_t bytes) {
  absl::MutexLock lock(&mu_);
  arriving_.erase(message.id());
  return receive_.Complete(message.id(), bytes);
}

void OpenCalls::Release(ReceiveMemory::MessageId id) {
  absl::MutexLock lock(&mu_);
  arriving_.erase(id);
  receive_.Release(id);
}

void OpenCalls::MeasureWith(absl::string_view transport, ReceiveMemory::BytesReceived bytes_received) {
  absl::MutexLock lock(&mu_);
  measures_[transport] = std::move(bytes_received);
}

std::optional<int64_t> OpenCalls::BytesReceived(const std::string& peer) const {
  for (const auto& [transport, bytes_received] : measures_) {
    if (bytes_received == nullptr) continue;
    if (const std::optional<int64_t> bytes = bytes_received(peer); bytes.has_value()) return bytes;
  }
  return std::nullopt;
}

OpenCalls::Calls OpenCalls::AllCalls() {
  Calls alive;
  for (const auto& [key, call] : calls_) {
    if (auto locked = call.lock()) alive.push_back(std::move(locked));
  }
  return alive;
}

void OpenCalls::Run() {
  // Other threads' Unlock reads it.
  const absl::Condition has_work(this, &OpenCalls::HasWork);
  while (true) {
    bool arriving = false;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(has_work);
      if (stopping_) return;
      arriving = receive_.arriving() > 0;
    }
    // Not a timed wait on the mutex: its timeout follows the wall clock.
    std::this_thread::sleep_for(arriving ? kLookAtMessages : kLookAtCalls);
    std::vector<ReceiveMemory::Verdict> verdicts;
    bool excess = false;
    {
      absl::MutexLock lock(&mu_);
      verdicts = receive_.Look(options_.clock->Now());
      excess = receive_.TakeExcess();
    }
    GiveUp(verdicts);
    EndUnread();
    // Messages arrive in many small pieces, which the allocator would mostly keep.
    if (excess) malloc_trim(0);
  }
}

void OpenCalls::GiveUp(const std::vector<ReceiveMemory::Verdict>& verdicts) {
  for (const ReceiveMemory::Verdict& verdict : verdicts) {
    std::shared_ptr<OpenCall> call;
    {
      absl::MutexLock lock(&mu_);
      const auto it = arriving_.find(verdict.id);
      if (it == arriving_.end()) continue;  // it has arrived in the meantime
      if (const auto open = calls_.find(it->second); open != calls_.end()) call = open->second.lock();
    }
    if (call != nullptr) call->Abort(verdict.status);
  }
}

void OpenCalls::EndUnread() {
  Calls calls;
  {
    absl::MutexLock lock(&mu_);
    calls = AllCalls();
  }
  const absl::Time now = options_.clock->Now();
  for (const auto& call : calls) {
    if (call->write_age(now) > options_.write_timeout) call->Break(options_.write_timeout);
  }
}

}  // namespace varserve::transport
