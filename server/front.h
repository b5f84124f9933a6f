// What callers, probes and Prometheus talk to, from the process's first second to its last: gRPC with health,
// HTTP, and /metrics. It answers while the model loads and while requests drain. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/byte_budget.h"
#include "server/base/clock.h"
#include "server/chat/chat_service.h"
#include "server/config.h"
#include "server/grpc/grpc_server.h"
#include "server/grpc/inference_service.h"
#include "server/http/http_server.h"
#include "server/serving.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/metrics_server.h"
#include "server/transport/bearer_tokens.h"
#include "server/transport/open_calls.h"

namespace varserve {

class Front {
 public:
  // Live and not ready. The pointers must outlive it. Errors name the flag.
  static absl::StatusOr<std::unique_ptr<Front>> Start(const ServerConfig& config, ByteBudget* image_memory,
                                                      const Clock* clock, telemetry::Metrics* metrics,
                                                      telemetry::Logger* logger);
  ~Front();

  // Takes requests for this model, which must outlive the front.
  void Serve(Serving& serving);
  // Rejects all requests from now on, with this reason.
  void Refuse(std::string reason);
  // What probes and metrics report. A process that is not live should be restarted.
  void SetHealth(const telemetry::Metrics::Health& health, bool live);
  // Takes no calls, waits so long for those that run, then cancels them.
  void Shutdown(absl::Duration grace);

 private:
  Front(telemetry::Metrics* metrics, telemetry::Logger* logger) : metrics_(metrics), logger_(logger) {}
  absl::Status StartHttp(const ServerConfig& config, const Clock* clock);
  std::string MetricsPage();

  telemetry::Metrics* const metrics_;
  telemetry::Logger* const logger_;
  std::atomic<const engine::Engine*> engine_ = nullptr;  // null until it serves
  std::unique_ptr<transport::BearerTokens> tokens_;
  std::unique_ptr<transport::OpenCalls>
      open_calls_;  // outlives the chat service, whose work holds its memory
  std::unique_ptr<rpc::InferenceService> service_;
  std::unique_ptr<http::HttpServer> http_server_;  // null without --http_listen
  std::unique_ptr<chat::ChatService> chat_;        // ends before both, whose streams its workers use
  std::unique_ptr<rpc::GrpcServer> server_;
  std::unique_ptr<telemetry::MetricsServer> metrics_server_;
};

}  // namespace varserve
