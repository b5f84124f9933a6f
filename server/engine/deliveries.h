// Tokens and ends of requests on their way to the sinks. If steps run on a device of their own, sinks hear of
// a step while the device computes the next one, so that it does not wait for them. Engine thread only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "server/engine/request.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

struct Ending {
  FinishReason reason = FinishReason::kStop;
  std::unique_ptr<const interventions::Report> report;
};

struct Delivery {
  SequenceId id = 0;
  std::shared_ptr<OutputSink> sink;
  bool at_once = false;        // must not wait for the next step
  std::optional<Token> token;  // delivered before the end
  std::optional<Ending> end;   // the request has ended, unless the sink says otherwise
};

class Deliveries {
 public:
  void Add(Delivery delivery) { waiting_.push_back(std::move(delivery)); }
  // Those that must not wait.
  void DeliverAtOnce() { DeliverThose(/*all=*/false); }
  void DeliverAll() { DeliverThose(/*all=*/true); }

  // Requests that the engine must end because of what their sinks did since the last call, by age: OK if
  // OnToken returned kStop, else the exception. Some may have ended since.
  std::map<SequenceId, absl::Status> TakeStopped();

 private:
  void DeliverThose(bool all);
  void Deliver(Delivery delivery);
  void DeliverEnd(Delivery delivery);

  std::deque<Delivery> waiting_;  // in order
  std::map<SequenceId, absl::Status> stopped_;
};

// Calls OnFailed. If that throws, too, nobody is left to notify.
void SendFailure(OutputSink& sink, const absl::Status& status);

}  // namespace varserve::engine
