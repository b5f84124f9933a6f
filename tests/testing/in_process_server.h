// The gRPC and HTTP services with a real engine in the test's own process, around whatever model runner a
// test brings; clients come over a real connection. Thread-safe after construction.
#pragma once

#include <memory>
#include <string>

#include "client/inference_client.h"
#include "server/base/byte_budget.h"
#include "server/base/clock.h"
#include "server/chat/chat_service.h"
#include "server/chat/preprocessor.h"
#include "server/engine/engine.h"
#include "server/grpc/grpc_server.h"
#include "server/grpc/inference_service.h"
#include "server/http/http_server.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "server/transport/open_calls.h"
#include "tests/testing/small_preprocessor.h"

namespace varserve::testing {

struct InProcessOptions {
  engine::SchedulerOptions scheduler;
  engine::QueueLimits queue;
  chat::ChatOptions chat;
  transport::OpenCalls::Options calls;
  rpc::ServiceOptions service;
  rpc::GrpcServerOptions grpc;
  http::HttpServerOptions http;
  int64_t max_map_bytes = 1 << 20;
  v1::Model description;  // its limits and the decoder's vocabulary are what requests are checked against
};

class InProcessServer {
 public:
  // `runner` must outlive the server; the engine's thread uses it until then.
  InProcessServer(engine::ModelRunner* runner, std::unique_ptr<const chat::Preprocessor> preprocessor,
                  InProcessOptions options = {});
  ~InProcessServer();  // Stop()

  std::unique_ptr<client::InferenceClient> Connect() const;
  int port() const { return port_; }
  int http_port() const { return http_port_; }
  std::string address() const;
  engine::Engine& engine() { return *engine_; }
  const text::Tokenizer& tokenizer() const { return preprocessor_->tokenizer(); }
  chat::ChatService& chat() { return *chat_; }
  const chat::Preprocessor& preprocessor() const { return *preprocessor_; }

  // The sum over all series of a metric, histograms by their count; with `label` only of those of which a
  // label has this value. The name without "varserve_".
  double Metric(const std::string& name, const std::string& label = "");
  // Until no request is in the engine and its gauges say so.
  void WaitUntilIdle();

  // Refuses new calls, ends those that run. What the metrics say stays. A test fails if its calls added
  // series to the metrics.
  void Stop();

 private:
  size_t NumSeries() const;

  const MonotonicClock clock_;
  ByteBudget image_memory_{64 << 20};
  const std::unique_ptr<const chat::Preprocessor> preprocessor_;
  const std::unique_ptr<telemetry::Logger> logger_;
  telemetry::Metrics metrics_;
  std::shared_ptr<const chat::ServingModel> model_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<transport::OpenCalls>
      open_calls_;                                 // outlives the chat service, whose work holds its memory
  std::unique_ptr<http::HttpServer> http_server_;  // its calls outlive the chat service's work
  std::unique_ptr<chat::ChatService> chat_;
  std::unique_ptr<rpc::InferenceService> service_;
  std::unique_ptr<rpc::GrpcServer> server_;
  const int port_;
  int http_port_ = 0;
  size_t num_series_ = 0;
};

}  // namespace varserve::testing
