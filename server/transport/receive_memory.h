// How much memory requests use from their first byte until they are parsed, and which to give up if it is too
// much. Pure bookkeeping. Thread-compatible.
//
// gRPC does not report the bytes of an unfinished message, however large it grows. So they are measured from
// outside: what a connection has received since its oldest unfinished message began, minus the messages that
// have completed since. This is exact if a connection carries one message at a time, except that it includes
// headers and so errs towards more. If a connection carries several, the oldest is given up: small messages
// have long arrived.
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

namespace varserve::transport {

// The error for a message that exceeds its limit.
absl::Status MessageTooLarge(int64_t max_bytes);

class ReceiveMemory {
 public:
  struct Limits {
    int64_t bytes = 256 << 20;                   // all messages, arriving or waiting to be parsed
    absl::Duration timeout = absl::Seconds(60);  // for a message to arrive
  };
  using MessageId = uint64_t;
  // Bytes that a connection has received so far; nullopt if unknown.
  using BytesReceived = std::function<std::optional<int64_t>(const std::string& peer)>;
  struct Verdict {
    MessageId id;
    absl::Status status;  // why the message is given up
  };

  explicit ReceiveMemory(const Limits& limits) : limits_(limits) {}

  // Without this, messages count only once they are complete.
  void MeasureWith(BytesReceived bytes_received) { bytes_received_ = std::move(bytes_received); }

  // A message of up to `max_bytes` begins to arrive. Ids increase with time. If too many messages are
  // arriving, the verdict is on the oldest message of the caller with the most.
  std::optional<Verdict> Begin(MessageId id, const std::string& peer, const std::string& caller,
                               int64_t max_bytes, absl::Time now);
  // The message is complete and waits to be parsed. RESOURCE_EXHAUSTED if it is too large, or with a retry
  // delay if there is no room for it; a single message always has room.
  absl::Status Complete(MessageId id, int64_t bytes);
  // The message no longer uses memory. No effect for an unknown id.
  void Release(MessageId id);

  // Messages to give up now: too slow, too large, or too much in total.
  std::vector<Verdict> Look(absl::Time now);

  // True once after so much memory was in use that the allocator keeps it, when hardly any is used any more.
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
    // Messages of the same connection that have completed since: bytes of those that began later, and maximum
    // bytes of those that began earlier.
    int64_t later_bytes = 0;
    int64_t earlier_max_bytes = 0;
  };
  // Messages of one connection, oldest first.
  using Connection = std::vector<MessageId>;
  struct Measured {
    int64_t bytes = 0;
    int64_t most = 0;  // maximum that its messages may have
  };

  static constexpr int64_t kExcess = 64 << 20;

  void Leave(MessageId id, const Arriving& message, int64_t complete_bytes);
  Measured Measure(const std::string& peer, const Connection& connection) const;
  // Adds a verdict, at most once per message.
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
  int64_t most_used_ = 0;  // maximum since TakeExcess
};

}  // namespace varserve::transport
