// While the server serves: reports the engine's health to probes, metrics and the log, about once a second.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "server/base/clock.h"
#include "server/base/prompt.h"
#include "server/config.h"
#include "server/engine/engine.h"
#include "server/front.h"
#include "server/telemetry/logging.h"
#include "server/termination.h"

namespace varserve {

// Returns once a signal comes, or with why the process cannot continue. `question` is what the server asks
// itself when steps fail.
absl::Status Watch(const ServerConfig& config, const Clock& clock, std::shared_ptr<const Prompt> question,
                   engine::Engine& engine, Termination& termination, Front& front, telemetry::Logger& logger);

}  // namespace varserve
