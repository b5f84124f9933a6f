#include "server/engine/deliveries.h"

#include <utility>

#include "server/engine/exceptions.h"

namespace varserve::engine {

void SendFailure(OutputSink& sink, const absl::Status& status) {
  CatchExceptions([&] { sink.OnFailed(status); }).IgnoreError();
}

void Deliveries::DeliverThose(bool all) {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    if (!all && !next->at_once && !stopped_.contains(next->id)) {
      ++next;
      continue;
    }
    Delivery delivery = std::move(*next);
    next = waiting_.erase(next);
    Deliver(std::move(delivery));
  }
}

void Deliveries::Deliver(Delivery delivery) {
  if (delivery.token && !stopped_.contains(delivery.id)) {
    const absl::Status sent = CatchExceptions([&] {
      if (delivery.sink->OnToken(*delivery.token) == SinkVerdict::kStop)
        stopped_.emplace(delivery.id, absl::OkStatus());
    });
    if (!sent.ok()) stopped_.emplace(delivery.id, sent);
  }
  if (delivery.end) DeliverEnd(std::move(delivery));
}

void Deliveries::DeliverEnd(Delivery delivery) {
  absl::Status sent;
  if (const auto stop = stopped_.find(delivery.id); stop != stopped_.end()) {
    sent = stop->second;
    delivery.end->reason = FinishReason::kStopString;
    stopped_.erase(stop);
  }
  if (sent.ok()) {
    sent = CatchExceptions(
        [&] { delivery.sink->OnFinished(delivery.end->reason, std::move(delivery.end->report)); });
  }
  if (!sent.ok()) SendFailure(*delivery.sink, sent);
}

std::map<SequenceId, absl::Status> Deliveries::TakeStopped() { return std::exchange(stopped_, {}); }

}  // namespace varserve::engine
