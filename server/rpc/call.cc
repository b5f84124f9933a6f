#include "server/rpc/call.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "server/rpc/peer.h"
#include "server/telemetry/traceparent.h"

namespace varserve::rpc {
namespace {

constexpr size_t kMaxRequestId = 128;

std::string RandomId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

std::string MetadataValue(const grpc::CallbackServerContext& context, const char* key) {
  const auto it = context.client_metadata().find(key);
  return it == context.client_metadata().end() ? "" : std::string(it->second.data(), it->second.size());
}

}  // namespace

CallMetadata ReadMetadata(const grpc::CallbackServerContext& context, const Clock& clock) {
  CallMetadata metadata;
  metadata.arrival = clock.Now();
  metadata.request_id = MetadataValue(context, "x-request-id");
  if (metadata.request_id.size() > kMaxRequestId ||
      !std::all_of(metadata.request_id.begin(), metadata.request_id.end(),
                   [](unsigned char c) { return c > 32 && c < 127; })) {
    metadata.status = absl::InvalidArgumentError(
        "x-request-id: is not up to 128 printable ASCII characters without spaces");
    metadata.request_id.clear();
  }
  if (metadata.request_id.empty()) metadata.request_id = RandomId();
  metadata.traceparent = MetadataValue(context, "traceparent");
  if (!telemetry::IsTraceparent(metadata.traceparent)) metadata.traceparent.clear();
  metadata.deadline = ToOwnClock(context.raw_deadline(), metadata.arrival);
  metadata.caller = AddressOf(context.peer());
  return metadata;
}

absl::Time ToOwnClock(const gpr_timespec& deadline, absl::Time now) {
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return absl::InfiniteFuture();
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return now + absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

CallReactor::Metadata ReplyMetadata(const CallMetadata& metadata) {
  CallReactor::Metadata reply = {{"x-request-id", metadata.request_id}};
  if (!metadata.traceparent.empty()) reply.emplace_back("traceparent", metadata.traceparent);
  return reply;
}

void Call::Expect(int generations) {
  absl::MutexLock lock(&mu_);
  expected_ = generations;
}

void Call::GenerationEnded() {
  {
    absl::MutexLock lock(&mu_);
    if (--expected_ > 0) return;
  }
  stream_->End(absl::OkStatus());
}

void Call::Fail(const absl::Status& status) { stream_->Abort(status); }

void Call::CancelWithCall(engine::Engine& engine, std::vector<engine::SequenceId> sequences) {
  stream_->NotifyWhenCancelled([&engine, sequences = std::move(sequences)] {
    for (const engine::SequenceId id : sequences) engine.Cancel(id);
  });
}

}  // namespace varserve::rpc
