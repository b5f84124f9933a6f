// A loaded model with everything that serves it, in the order it has to be built and taken down.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/chat/chat_service.h"
#include "server/chat/preprocessor.h"
#include "server/config.h"
#include "server/engine/engine.h"
#include "server/model/step_runner.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"

namespace varserve {

class Serving {
 public:
  // Loads the model, plans the memory, warms up. Takes seconds to minutes. Errors name the flag, file or
  // field.
  static absl::StatusOr<std::unique_ptr<Serving>> Load(const ServerConfig& config, const Clock* clock,
                                                       telemetry::Metrics* metrics,
                                                       telemetry::Logger* logger);

  engine::Engine& engine() { return *engine_; }
  // What the service needs; valid as long as this object.
  std::shared_ptr<const chat::ServingModel> model() const { return model_; }
  // What every model must be able to answer.
  std::shared_ptr<const Prompt> self_test_question() const { return self_test_question_; }

 private:
  Serving() = default;

  std::unique_ptr<const chat::Preprocessor> preprocessor_;
  std::unique_ptr<model::StepRunner> runner_;
  std::shared_ptr<const Prompt> self_test_question_;
  std::unique_ptr<engine::Engine> engine_;
  std::shared_ptr<const chat::ServingModel> model_;
};

}  // namespace varserve
