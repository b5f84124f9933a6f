// How much memory requests take from their first byte until they are parsed, and which to give up when it is
// too much. Pure bookkeeping. Thread-compatible.
//
// gRPC keeps what has come of a message to itself, however large it grows, so that is measured from outside:
// what a connection has received since its oldest unfinished message began, less the messages that have
// become complete since. That is exact where a connection carries one message at a time and, headers
// included, errs towards more. Of a connection that carries several the oldest is given up: what is small has
// long arrived.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varserve::rpc {

class ReceiveMemory {
 public:
  struct Limits {
    int64_t bytes = 256 << 20;                   // of all messages, arriving or waiting to be parsed
    absl::Duration timeout = absl::Seconds(60);  // for a message to arrive
  };
  using MessageId = uint64_t;
  // What a connection has received so far; none if that cannot be known.
  using BytesReceived = std::function<std::optional<int64_t>(const std::string& peer)>;
  struct Verdict {
    MessageId id;
    absl::Status status;  // why the message is given up
  };

  explicit ReceiveMemory(const Limits& limits) : limits_(limits) {}

  // Without it messages count only once they are complete.
  void MeasureWith(BytesReceived bytes_received) { bytes_received_ = std::move(bytes_received); }

  // A message of up to `max_bytes` begins to arrive. Ids grow with time. Where too many do, the oldest
  // message of the caller with most of them is to be given up.
  std::optional<Verdict> Begin(MessageId id, const std::string& peer, const std::string& caller,
                               int64_t max_bytes, absl::Time now);
  // It is complete and waits to be parsed. RESOURCE_EXHAUSTED if it is too large; with a retry delay if there
  // is no room for it: one always has.
  absl::Status Complete(MessageId id, int64_t bytes);
  // It takes no memory any more. No effect on what is not known.
  void Release(MessageId id);

  // The messages to be given up now: too slow, too large, or too much together.
  std::vector<Verdict> Look(absl::Time now);

  // True once after so much memory was in use that the allocator keeps it, and hardly any is now.
  bool TakeExcess();

  int arriving() const { return static_cast<int>(arriving_.size()); }
  bool has_excess() const { return most_used_ >= kExcess; }

 private:
  struct Arriving {
    std::string peer;
    std::string caller;
    int64_t max_bytes;
    absl::Time begun;
    bool given_up = false;
    std::optional<int64_t> received_before;  // by the connection
    // Messages of the same connection that have become complete since: bytes of those that began later, and
    // the most of those that had begun before.
    int64_t later_bytes = 0;
    int64_t earlier_max_bytes = 0;
  };
  // Messages of one connection, the oldest first.
  using Connection = std::vector<MessageId>;
  struct Measured {
    int64_t bytes = 0;
    int64_t most = 0;  // that its messages may have
  };

  static constexpr int64_t kExcess = 64 << 20;

  void Leave(MessageId id, const Arriving& message, int64_t complete_bytes);
  Measured Measure(const std::string& peer, const Connection& connection) const;
  // Adds a verdict, once a message.
  void GiveUp(MessageId id, absl::Status status, std::vector<Verdict>& verdicts);
  int max_arriving() const;

  const Limits limits_;
  BytesReceived bytes_received_;
  std::map<MessageId, Arriving> arriving_;
  absl::flat_hash_map<std::string, Connection> connections_;  // with messages arriving
  absl::flat_hash_map<std::string, int> of_caller_;           // messages arriving
  absl::flat_hash_map<MessageId, int64_t> complete_;          // bytes
  int64_t complete_bytes_ = 0;
  int64_t used_ = 0;       // at the last look
  int64_t most_used_ = 0;  // at a time, since TakeExcess
};

}  // namespace varserve::rpc
