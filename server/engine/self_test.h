// A request from the server to itself that checks whether the model still works. It passes through queue,
// batch and device like any other request, and uses nothing from the prefix cache. Thread-compatible.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "server/base/prompt.h"
#include "server/engine/engine.h"

namespace varserve::engine {

class SelfTest {
 public:
  // The engine must outlive the test.
  SelfTest(Engine* engine, std::shared_ptr<const Prompt> prompt);

  // Submits a request, unless the last one has not ended or its outcome was not taken. If the queue is full,
  // does nothing: the requests in it show whether the model works.
  void Ask();
  // The outcome of a request that has ended: OK if the model answered, otherwise the error.
  std::optional<absl::Status> TakeOutcome();

 private:
  class Answer;

  Engine* const engine_;
  const std::shared_ptr<const Prompt> prompt_;
  uint64_t asked_ = 0;
  std::shared_ptr<Answer> answer_;  // null if no request is pending
};

}  // namespace varserve::engine
