#include "server/transport/receive_memory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/retry_delay.h"

namespace varserve::transport {
namespace {

// Maximum for a call and the bytes of its stream that gRPC takes without being asked.
constexpr int64_t kBytesPerMessage = 256 << 10;
// What frames, encryption and other calls' headers may add to a connection's bytes: a constant, and one byte
// in kSlackPerByte.
constexpr int64_t kSlack = 1 << 20;
constexpr int64_t kSlackPerByte = 64;

absl::Status TooMuch() {
  return engine::WithRetryDelay(
      absl::ResourceExhaustedError("request: too many bytes of requests arrive or wait; try again later"),
      engine::kDefaultRetryDelay);
}

}  // namespace

absl::Status MessageTooLarge(int64_t max_bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("request: the message is larger than the ", max_bytes, " bytes it may have"));
}

int ReceiveMemory::max_arriving() const {
  return static_cast<int>(std::max<int64_t>(1, limits_.bytes / kBytesPerMessage));
}

std::optional<ReceiveMemory::Verdict> ReceiveMemory::Begin(MessageId id, const std::string& peer,
                                                           const std::string& caller, int64_t max_bytes,
                                                           absl::Time now) {
  Arriving message{.peer = peer, .caller = caller, .max_bytes = max_bytes, .begun = now};
  if (bytes_received_) message.received_before = bytes_received_(peer);
  arriving_.emplace(id, std::move(message));
  connections_[peer].push_back(id);
  ++of_caller_[caller];
  if (arriving() <= max_arriving()) return std::nullopt;
  const auto most = std::max_element(of_caller_.begin(), of_caller_.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  for (const auto& [oldest, one] : arriving_) {
    if (one.caller != most->first || one.given_up) continue;
    std::vector<Verdict> verdict;
    GiveUp(oldest, TooMuch(), verdict);
    return std::move(verdict.front());
  }
  return std::nullopt;
}

void ReceiveMemory::Leave(MessageId id, const Arriving& message, int64_t complete_bytes) {
  Connection& connection = connections_.at(message.peer);
  for (const MessageId other : connection) {
    Arriving& beside = arriving_.at(other);
    if (other < id) beside.later_bytes += complete_bytes;
    if (other > id) beside.earlier_max_bytes += message.max_bytes;
  }
  connection.erase(std::find(connection.begin(), connection.end(), id));
  if (connection.empty()) connections_.erase(message.peer);
  const auto caller = of_caller_.find(message.caller);
  if (--caller->second == 0) of_caller_.erase(caller);
}

absl::Status ReceiveMemory::Complete(MessageId id, int64_t bytes) {
  const auto it = arriving_.find(id);
  const int64_t max_bytes = it->second.max_bytes;
  Leave(id, it->second, bytes);
  arriving_.erase(it);
  if (bytes > max_bytes) return MessageTooLarge(max_bytes);
  if (!complete_.empty() && complete_bytes_ + bytes > limits_.bytes) return TooMuch();
  complete_.emplace(id, bytes);
  complete_bytes_ += bytes;
  most_used_ = std::max(most_used_, complete_bytes_);
  return absl::OkStatus();
}

void ReceiveMemory::Release(MessageId id) {
  if (const auto it = arriving_.find(id); it != arriving_.end()) {
    Leave(id, it->second, 0);
    arriving_.erase(it);
  } else if (const auto done = complete_.find(id); done != complete_.end()) {
    complete_bytes_ -= done->second;
    complete_.erase(done);
  }
}

ReceiveMemory::Measured ReceiveMemory::Measure(const std::string& peer, const Connection& connection) const {
  const Arriving& oldest = arriving_.at(connection.front());
  Measured measured{.most = oldest.earlier_max_bytes};
  for (const MessageId id : connection) measured.most += arriving_.at(id).max_bytes;
  const std::optional<int64_t> now = bytes_received_ ? bytes_received_(peer) : std::nullopt;
  if (!now.has_value() || !oldest.received_before.has_value()) return measured;
  const int64_t received = *now - *oldest.received_before;
  measured.most += kSlack + received / kSlackPerByte;
  measured.bytes = std::max<int64_t>(0, received - oldest.later_bytes);
  return measured;
}

void ReceiveMemory::GiveUp(MessageId id, absl::Status status, std::vector<Verdict>& verdicts) {
  if (std::exchange(arriving_.at(id).given_up, true)) return;
  verdicts.push_back({id, std::move(status)});
}

std::vector<ReceiveMemory::Verdict> ReceiveMemory::Look(absl::Time now) {
  std::vector<Verdict> verdicts;
  for (const auto& [id, message] : arriving_) {  // oldest first
    if (now - message.begun < limits_.timeout) break;
    GiveUp(id,
           absl::CancelledError(absl::StrCat("request: the message did not arrive within ",
                                             absl::FormatDuration(limits_.timeout))),
           verdicts);
  }
  // Bytes held by each connection. If they exceed what all its messages may have, its oldest message is given
  // up.
  int64_t total = complete_bytes_;
  std::vector<std::pair<int64_t, MessageId>> held;  // bytes of a connection, and its oldest message
  size_t left = complete_.size();
  // memory of given-up messages will be released once gRPC has ended their calls
  bool waits = false;
  for (const auto& [peer, connection] : connections_) {
    if (std::any_of(connection.begin(), connection.end(),
                    [this](MessageId id) { return arriving_.at(id).given_up; })) {
      waits = true;
      continue;
    }
    const MessageId oldest = connection.front();
    const Measured measured = Measure(peer, connection);
    if (measured.bytes > measured.most) {
      GiveUp(oldest, MessageTooLarge(arriving_.at(oldest).max_bytes), verdicts);
      continue;
    }
    total += measured.bytes;
    left += connection.size();
    held.emplace_back(measured.bytes, oldest);
  }
  most_used_ = std::max(most_used_, total);
  // The largest go until the rest fits; a single message always fits.
  std::sort(held.begin(), held.end(), std::greater<>());
  for (const auto& [bytes, oldest] : held) {
    if (total <= limits_.bytes || bytes == 0 || left == 1) break;
    GiveUp(oldest, TooMuch(), verdicts);
    total -= bytes;
    --left;
  }
  used_ = waits || !verdicts.empty() ? most_used_ : total;
  return verdicts;
}

bool ReceiveMemory::TakeExcess() {
  if (!has_excess() || used_ > kExcess / 8) return false;
  most_used_ = 0;
  return true;
}

}  // namespace varserve::transport
