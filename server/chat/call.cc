#include "server/chat/call.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "server/telemetry/traceparent.h"

namespace varserve::chat {
namespace {

constexpr size_t kMaxRequestId = 128;

std::string RandomId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

}  // namespace

CallMetadata MakeCallMetadata(std::string request_id, std::string traceparent) {
  CallMetadata metadata;
  metadata.request_id = std::move(request_id);
  if (metadata.request_id.size() > kMaxRequestId ||
      !std::all_of(metadata.request_id.begin(), metadata.request_id.end(),
                   [](unsigned char c) { return c > 32 && c < 127; })) {
    metadata.status = absl::InvalidArgumentError(
        "x-request-id: is not up to 128 printable ASCII characters without spaces");
    metadata.request_id.clear();
  }
  if (metadata.request_id.empty()) metadata.request_id = RandomId();
  if (telemetry::IsTraceparent(traceparent)) metadata.traceparent = std::move(traceparent);
  return metadata;
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

}  // namespace varserve::chat
