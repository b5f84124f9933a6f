// A question of the server's own, to find out whether the model still computes. It goes the way of every
// request, through queue, batch and device, and no part of it comes from the prefix cache. Thread-compatible.
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

  // Asks, unless the last question has not ended yet or its outcome was not taken. A full queue counts as no
  // question: what is in it shows as well how the model does.
  void Ask();
  // What came of a question, once it has ended: OK where the model answered, else why it did not.
  std::optional<absl::Status> TakeOutcome();

 private:
  class Answer;

  Engine* const engine_;
  const std::shared_ptr<const Prompt> prompt_;
  uint64_t asked_ = 0;
  std::shared_ptr<Answer> answer_;  // null while nothing is asked
};

}  // namespace varserve::engine
