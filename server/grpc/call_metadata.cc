#include "server/grpc/call_metadata.h"

#include <grpc/support/time.h>

#include "absl/time/time.h"
#include "server/transport/peer.h"

namespace varserve::rpc {
namespace {

// Converts `deadline` from gRPC's clock to ours; infinite if it is too far in the future to represent.
absl::Time ToOwnClock(const gpr_timespec& deadline, absl::Time now) {
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return absl::InfiniteFuture();
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return now + absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

}  // namespace

std::string MetadataValue(const grpc::CallbackServerContext& context, const char* key) {
  const auto it = context.client_metadata().find(key);
  return it == context.client_metadata().end() ? "" : std::string(it->second.data(), it->second.size());
}

chat::CallMetadata ReadMetadata(const grpc::CallbackServerContext& context, const Clock& clock) {
  const absl::Time arrival = clock.Now();
  chat::CallMetadata metadata =
      chat::MakeCallMetadata(MetadataValue(context, "x-request-id"), MetadataValue(context, "traceparent"));
  metadata.transport = "grpc";
  metadata.arrival = arrival;
  metadata.deadline = ToOwnClock(context.raw_deadline(), arrival);
  metadata.caller = transport::AddressOf(context.peer());
  return metadata;
}

CallReactor::Metadata ReplyMetadata(const chat::CallMetadata& metadata) {
  CallReactor::Metadata reply = {{"x-request-id", metadata.request_id}};
  if (!metadata.traceparent.empty()) reply.emplace_back("traceparent", metadata.traceparent);
  return reply;
}

}  // namespace varserve::rpc
