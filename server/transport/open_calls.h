// The open calls, the receive memory that their requests use, and the thread that ends calls that take too
// long or too much. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/transport/open_call.h"
#include "server/transport/receive_memory.h"

namespace varserve::transport {

class OpenCalls {
 public:
  struct Options {
    absl::Duration write_timeout = absl::Seconds(60);  // for a reader to take a message
    ReceiveMemory::Limits receive;
    const Clock* clock = nullptr;
  };

  explicit OpenCalls(const Options& options);
  ~OpenCalls();  // no call may be left

  // Returns its memory when destroyed.
  class Hold {
   public:
    Hold() = default;
    Hold(OpenCalls* calls, ReceiveMemory::MessageId id) : calls_(calls), id_(id) {}
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept {
      std::swap(calls_, other.calls_);
      std::swap(id_, other.id_);
      return *this;
    }
    ~Hold() {
      if (calls_ != nullptr) calls_->Release(id_);
    }
    ReceiveMemory::MessageId id() const { return id_; }

   private:
    OpenCalls* calls_ = nullptr;
    ReceiveMemory::MessageId id_ = 0;
  };

  // Watches a call until Remove.
  void Add(const std::shared_ptr<OpenCall>& call) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(OpenCall* call) ABSL_LOCKS_EXCLUDED(mu_);

  // A call's message begins to arrive, and is complete; see ReceiveMemory.
  Hold BeginMessage(OpenCall* call, int64_t max_bytes) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CompleteMessage(const Hold& message, int64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);

  // How a transport's connections are measured; null: they no longer are. A function that does not know a
  // peer returns nullopt. Called with the mutex held.
  void MeasureWith(absl::string_view transport, ReceiveMemory::BytesReceived bytes_received)
      ABSL_LOCKS_EXCLUDED(mu_);
  const Clock& clock() const { return *options_.clock; }

 private:
  using Calls = std::vector<std::shared_ptr<OpenCall>>;

  void Release(ReceiveMemory::MessageId id) ABSL_LOCKS_EXCLUDED(mu_);
  std::optional<int64_t> BytesReceived(const std::string& peer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || !calls_.empty() || receive_.has_excess();
  }
  Calls AllCalls() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndUnread() ABSL_LOCKS_EXCLUDED(mu_);
  void GiveUp(const std::vector<ReceiveMemory::Verdict>& verdicts) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  absl::Mutex mu_;
  absl::flat_hash_map<OpenCall*, std::weak_ptr<OpenCall>> calls_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<ReceiveMemory::MessageId, OpenCall*> arriving_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, ReceiveMemory::BytesReceived> measures_ ABSL_GUARDED_BY(mu_);
  ReceiveMemory receive_ ABSL_GUARDED_BY(mu_);
  ReceiveMemory::MessageId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace varserve::transport
