#include "server/front.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/time/clock.h"
#include "server/base/status_macros.h"
#include "server/version.h"

namespace varserve {

absl::StatusOr<std::unique_ptr<Front>> Front::Start(const ServerConfig& config, ByteBudget* image_memory,
                                                    const Clock* clock, telemetry::Metrics* metrics,
                                                    telemetry::Logger* logger) {
  auto front = absl::WrapUnique(new Front(metrics, logger));
  if (!config.token_file.empty()) {
    ASSIGN_OR_RETURN(front->tokens_, transport::BearerTokens::Load(config.token_file, logger));
  }
  front->open_calls_ = std::make_unique<transport::OpenCalls>(transport::OpenCalls::Options{
      .write_timeout = config.write_timeout,
      .receive = {.bytes = config.receive_memory, .timeout = config.read_timeout},
      .clock = clock});
  front->chat_ =
      std::make_unique<chat::ChatService>(chat::ChatOptions{.worker_threads = config.worker_threads,
                                                            .image_memory = image_memory,
                                                            .image_cache = config.image_cache,
                                                            .url_images = config.url_images,
                                                            .metrics = metrics,
                                                            .logger = logger,
                                                            .clock = clock});
  front->service_ = std::make_unique<rpc::InferenceService>(
      rpc::ServiceOptions{.max_message_bytes = static_cast<int64_t>(config.limits.max_message_bytes()),
                          .open_calls = front->open_calls_.get(),
                          .tokens = front->tokens_.get(),
                          .metrics = metrics,
                          .clock = clock},
      front->chat_.get());
  ASSIGN_OR_RETURN(front->server_, rpc::GrpcServer::Start(config.grpc, front->service_.get(), logger));
  RETURN_IF_ERROR(front->StartHttp(config, clock));
  logger->Info("listening", {{"version", kVersion}, {"port", int64_t{front->server_->port()}}});
  if (const int port = front->server_->health_port(); port != 0)
    logger->Info("health", {{"port", int64_t{port}}});
  if (front->http_server_ != nullptr)
    logger->Info("http", {{"path", "/v1"}, {"port", int64_t{front->http_server_->port()}}});
  if (!config.metrics_listen.empty()) {
    ASSIGN_OR_RETURN(front->metrics_server_,
                     telemetry::MetricsServer::Start(config.metrics_listen,
                                                     [front = front.get()] { return front->MetricsPage(); }));
    logger->Info("metrics", {{"path", "/metrics"}, {"port", int64_t{front->metrics_server_->port()}}});
  }
  return front;
}

Front::~Front() {
  if (http_server_ != nullptr) http_server_->Shutdown(absl::ZeroDuration());
}

absl::Status Front::StartHttp(const ServerConfig& config, const Clock* clock) {
  if (config.http.listen.empty()) return absl::OkStatus();
  auto service = std::make_unique<http::OpenAiService>(
      http::ServiceOptions{.max_message_bytes = static_cast<int64_t>(config.limits.max_message_bytes()),
                           .open_calls = open_calls_.get(),
                           .tokens = tokens_.get(),
                           .metrics = metrics_,
                           .clock = clock,
                           .server_version = kVersion},
      chat_.get());
  ASSIGN_OR_RETURN(http_server_, http::HttpServer::Start(config.http, std::move(service), logger_));
  return absl::OkStatus();
}

std::string Front::MetricsPage() {
  if (const engine::Engine* engine = engine_.load()) metrics_->OnQueue(engine->load());
  metrics_->OnLogLinesDropped(logger_->dropped());
  return metrics_->Text();
}

void Front::Serve(Serving& serving) {
  engine_ = &serving.engine();
  chat_->Serve(serving.model());
  SetHealth({.ready = true}, /*live=*/true);
}

void Front::Refuse(std::string reason) { chat_->Refuse(std::move(reason)); }

void Front::SetHealth(const telemetry::Metrics::Health& health, bool live) {
  server_->SetHealth(live, health.ready);
  if (http_server_ != nullptr) http_server_->SetReady(health.ready);
  metrics_->OnHealth(health);
}

void Front::Shutdown(absl::Duration grace) {
  const absl::Time deadline = absl::Now() + grace;
  server_->Shutdown(deadline);
  if (http_server_ != nullptr) http_server_->Shutdown(std::max(absl::ZeroDuration(), deadline - absl::Now()));
}

}  // namespace varserve
