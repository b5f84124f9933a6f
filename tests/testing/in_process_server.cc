#include "tests/testing/in_process_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace varserve::testing {
namespace {

rpc::GrpcServerOptions Local(rpc::GrpcServerOptions options) {
  options.listen = "127.0.0.1:0";
  return options;
}

// What a request is checked against where the test says nothing.
v1::Model WithDefaults(v1::Model model, const engine::ModelFacts& facts) {
  v1::Model::Limits& limits = *model.mutable_limits();
  if (limits.max_tokens() == 0) limits.set_max_tokens(1 << 20);
  if (limits.max_images() == 0) limits.set_max_images(8);
  if (limits.max_image_bytes() == 0) limits.set_max_image_bytes(1 << 20);
  if (limits.max_image_pixels() == 0) limits.set_max_image_pixels(1 << 20);
  limits.set_max_map_bytes(1 << 20);
  if (model.name().empty()) model.set_name("test");
  model.mutable_decoder()->set_context(static_cast<uint32_t>(facts.context));
  if (model.decoder().vocabulary() == 0) model.mutable_decoder()->set_vocabulary(64);
  model.mutable_decoder()->set_layers(static_cast<uint32_t>(facts.num_layers));
  return model;
}

chat::ChatOptions Complete(chat::ChatOptions options, ByteBudget* image_memory, telemetry::Metrics* metrics,
                           telemetry::Logger* logger, const Clock* clock) {
  if (options.image_memory == nullptr) options.image_memory = image_memory;
  options.metrics = metrics;
  options.logger = logger;
  options.clock = clock;
  return options;
}

transport::OpenCalls::Options Complete(transport::OpenCalls::Options options, const Clock* clock) {
  options.clock = clock;
  return options;
}

rpc::ServiceOptions Complete(rpc::ServiceOptions options, transport::OpenCalls* open_calls,
                             telemetry::Metrics* metrics, const Clock* clock) {
  options.open_calls = open_calls;
  options.metrics = metrics;
  options.clock = clock;
  return options;
}

double ValueOf(const prometheus::MetricFamily& family, const prometheus::ClientMetric& metric) {
  switch (family.type) {
    case prometheus::MetricType::Counter:
      return metric.counter.value;
    case prometheus::MetricType::Gauge:
      return metric.gauge.value;
    default:
      return static_cast<double>(metric.histogram.sample_count);
  }
}

}  // namespace

InProcessServer::InProcessServer(engine::ModelRunner* runner,
                                 std::unique_ptr<const chat::Preprocessor> preprocessor,
                                 InProcessOptions options)
    : preprocessor_(std::move(preprocessor)),
      logger_(*telemetry::Logger::Create("text", "error")),
      metrics_("test", "version", interventions::ReportMetricsMakers()),
      engine_(std::make_unique<engine::Engine>(
          engine::EngineOptions{.scheduler = options.scheduler, .queue = options.queue}, runner, &metrics_,
          &clock_)),
      open_calls_(std::make_unique<transport::OpenCalls>(Complete(options.calls, &clock_))),
      chat_(std::make_unique<chat::ChatService>(
          Complete(options.chat, &image_memory_, &metrics_, logger_.get(), &clock_))),
      service_(std::make_unique<rpc::InferenceService>(
          Complete(options.service, open_calls_.get(), &metrics_, &clock_), chat_.get())),
      server_(*rpc::GrpcServer::Start(Local(options.grpc), service_.get(), logger_.get())),
      port_(server_->port()) {
  http::HttpServerOptions http = options.http;
  http.listen = "127.0.0.1:0";
  http_server_ = *http::HttpServer::Start(
      http,
      std::make_unique<http::OpenAiService>(
          http::ServiceOptions{.max_message_bytes = options.service.max_message_bytes,
                               .open_calls = open_calls_.get(),
                               .tokens = options.service.tokens,
                               .metrics = &metrics_,
                               .clock = &clock_,
                               .server_version = "version"},
          chat_.get()),
      logger_.get());
  http_port_ = http_server_->port();
  metrics_.OnModelLoaded({.dtype = "", .device = "", .num_layers = runner->facts().num_layers});
  auto model = std::make_shared<chat::ServingModel>();
  model->engine = engine_.get();
  model->preprocessor = preprocessor_.get();
  model->description = WithDefaults(std::move(options.description), runner->facts());
  model->intervention_defaults.var = {.profile_tau = 20.0F, .num_layers = runner->facts().num_layers};
  model->intervention_defaults.attention = {.num_layers = runner->facts().num_layers,
                                            .num_heads = runner->facts().num_heads};
  model->services = {.tokenizer = &preprocessor_->tokenizer(),
                     .metrics = &metrics_,
                     .logger = logger_.get(),
                     .clock = &clock_,
                     .model_name = "test",
                     .max_map_bytes = options.max_map_bytes};
  model_ = std::move(model);
  chat_->Serve(model_);
  num_series_ = NumSeries();
}

InProcessServer::~InProcessServer() { Stop(); }

void InProcessServer::Stop() {
  if (server_ == nullptr) return;
  chat_->Refuse("stopped");
  engine_->Drain(clock_.Now());
  server_->Shutdown(absl::Now() + absl::Seconds(5));
  http_server_->Shutdown(absl::Seconds(5));
  server_.reset();
  chat_.reset();  // its workers use the engine and the streams to their end
  service_.reset();
  engine_->Stop();
  EXPECT_EQ(NumSeries(), num_series_) << "calls have added series to the metrics";
}

size_t InProcessServer::NumSeries() const {
  size_t series = 0;
  for (const prometheus::MetricFamily& family : metrics_.registry()->Collect())
    series += family.metric.size();
  return series;
}

std::string InProcessServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::unique_ptr<client::InferenceClient> InProcessServer::Connect() const {
  return *client::InferenceClient::Connect({.address = address()});
}

double InProcessServer::Metric(const std::string& name, const std::string& label) {
  metrics_.OnQueue(engine_->load());
  double sum = 0.0;
  for (const prometheus::MetricFamily& family : metrics_.registry()->Collect()) {
    if (family.name != "varserve_" + name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      const bool has_label = std::any_of(metric.label.begin(), metric.label.end(),
                                         [&](const auto& one) { return one.value == label; });
      if (label.empty() || has_label) sum += ValueOf(family, metric);
    }
  }
  return sum;
}

void InProcessServer::WaitUntilIdle() {
  while (engine_->health().working || Metric("requests_running") + Metric("requests_waiting") > 0)
    std::this_thread::yield();
}

}  // namespace varserve::testing
