#include "server/telemetry/metrics.h"

#include <gtest/gtest.h>

#include <thread>

#include "server/interventions/table/table.h"
#include "server/interventions/var/report.h"
#include "tests/unit/telemetry/registry_text.h"

namespace varserve::telemetry {
namespace {

using interventions::Mode;

class MetricsTest : public testing::Test {
 protected:
  double Value(const std::string& series) const {
    const auto all = SeriesOf(*metrics_.registry());
    const auto it = all.find("varserve_" + series);
    EXPECT_NE(it, all.end()) << series << " does not exist";
    return it == all.end() ? -1 : it->second;
  }

  Metrics metrics_{"m", "1.2.3", interventions::ReportMetricsMakers()};
};

int NumSamples(const prometheus::Registry& registry) {
  size_t samples = 0;
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      samples += family.type == prometheus::MetricType::Histogram ? metric.histogram.bucket.size() + 2 : 1;
    }
  }
  return static_cast<int>(samples);
}

TEST_F(MetricsTest, NumberOfSeriesIsBounded) {
  metrics_.OnModelLoaded({.num_layers = 0});
  const int without_layers = NumSamples(*metrics_.registry());
  EXPECT_EQ(without_layers, 1434);

  Metrics thirty_two("m", "1", interventions::ReportMetricsMakers());
  thirty_two.OnModelLoaded({.num_layers = 32});
  const int before = NumSamples(*thirty_two.registry());
  EXPECT_EQ(before, without_layers + 32 * 7);

  // Whatever requests do, nothing is added.
  interventions::VarReport report;
  report.eligible_rows = 1;
  for (int l = 0; l < 32; ++l) report.layers.push_back({.layer = l});
  for (const auto& [transport, method] :
       {std::pair{"grpc", "Answer"}, std::pair{"grpc", "Caption"}, std::pair{"grpc", "Generate"},
        std::pair{"grpc", "Compare"}, std::pair{"http", "ChatCompletions"}}) {
    for (const Mode mode : {Mode::kOff, Mode::kObserve, Mode::kOn}) {
      report.settings.mode = mode;
      for (const char* preset : {"general", "hallucination", "vision_centric", "custom"}) {
        report.preset = preset;
        for (const char* reason : {"stop", "stop_string", "length"}) {
          thirty_two.OnRequestEnd({.transport = transport,
                                   .method = method,
                                   .finish_reason = reason,
                                   .var = mode,
                                   .admitted = true,
                                   .report = &report});
        }
      }
      for (const absl::StatusCode code :
           {absl::StatusCode::kInvalidArgument, absl::StatusCode::kFailedPrecondition,
            absl::StatusCode::kResourceExhausted, absl::StatusCode::kDeadlineExceeded,
            absl::StatusCode::kUnauthenticated, absl::StatusCode::kUnavailable, absl::StatusCode::kInternal,
            absl::StatusCode::kCancelled}) {
        thirty_two.OnRequestEnd({.transport = transport, .method = method, .code = code, .var = mode});
      }
    }
  }
  EXPECT_EQ(NumSamples(*thirty_two.registry()), before);
}

TEST_F(MetricsTest, EverySeriesNamesTheModelAndStartsAtZero) {
  metrics_.OnModelLoaded({.dtype = "float32", .device = "cpu", .num_layers = 2});
  for (const prometheus::MetricFamily& family : metrics_.registry()->Collect()) {
    EXPECT_TRUE(family.name.starts_with("varserve_")) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    for (const prometheus::ClientMetric& metric : family.metric) {
      EXPECT_EQ(metric.label.front().name, "model") << family.name;
      EXPECT_EQ(metric.label.front().value, "m");
      EXPECT_EQ(metric.counter.value, 0) << family.name;
      EXPECT_EQ(metric.histogram.sample_count, 0) << family.name;
    }
  }
  EXPECT_EQ(Value("model_info{device=cpu,dtype=float32,layers=2}"), 1);
  EXPECT_EQ(Value("build_info{version=1.2.3}"), 1);
  EXPECT_EQ(Value("ready{}"), 0);
  EXPECT_GT(Value("start_time_seconds{}"), 1.7e9);
}

TEST_F(MetricsTest, ARequestThatEndedWellIsCountedWithItsTimesAndTokens) {
  metrics_.OnFirstToken(Mode::kOn, absl::Milliseconds(300));
  metrics_.OnNextToken(Mode::kOn, absl::Milliseconds(20));
  metrics_.OnRequestEnd({.transport = "grpc",
                         .method = "Answer",
                         .finish_reason = "stop",
                         .var = Mode::kOn,
                         .duration = absl::Seconds(2),
                         .image = absl::Milliseconds(5),
                         .admitted = true,
                         .prefill = absl::Milliseconds(200),
                         .prompt_tokens = 115,
                         .visual_tokens = 100,
                         .generated_tokens = 2});
  EXPECT_EQ(Value("requests_total{code=OK,finish_reason=stop,method=Answer,transport=grpc,var=on}"), 1);
  EXPECT_EQ(Value("request_duration_seconds_sum{var=on}"), 2);
  EXPECT_EQ(Value("time_to_first_token_seconds_sum{var=on}"), 0.3);
  EXPECT_EQ(Value("inter_token_latency_seconds_sum{var=on}"), 0.02);
  EXPECT_EQ(Value("prefill_seconds_sum{var=on}"), 0.2);
  EXPECT_EQ(Value("image_seconds_sum{}"), 0.005);
  EXPECT_EQ(Value("prompt_tokens_total{var=on}"), 115);
  EXPECT_EQ(Value("visual_tokens_total{var=on}"), 100);
  EXPECT_EQ(Value("generated_tokens_total{var=on}"), 2);
  EXPECT_EQ(Value("request_duration_seconds_count{var=off}"), 0);
}

TEST_F(MetricsTest, ARefusedRequestOnlyCounts) {
  metrics_.OnRequestEnd({.transport = "grpc",
                         .method = "Answer",
                         .code = absl::StatusCode::kResourceExhausted,
                         .duration = absl::Milliseconds(1),
                         .prompt_tokens = 115});
  metrics_.OnRequestEnd(
      {.transport = "grpc", .method = "GetModel", .code = absl::StatusCode::kUnauthenticated});
  EXPECT_EQ(
      Value(
          "requests_total{code=RESOURCE_EXHAUSTED,finish_reason=none,method=Answer,transport=grpc,var=off}"),
      1);
  EXPECT_EQ(
      Value("requests_total{code=UNAUTHENTICATED,finish_reason=none,method=GetModel,transport=grpc,var=off}"),
      1);
  EXPECT_EQ(Value("prompt_tokens_total{var=off}"), 0);
  EXPECT_EQ(Value("request_duration_seconds_count{var=off}"), 0);
  EXPECT_EQ(Value("queue_time_seconds_count{var=off}"), 0);
}

TEST_F(MetricsTest, ARequestThatFailedOnItsWayHasNoDuration) {
  metrics_.OnRequestEnd({.transport = "grpc",
                         .method = "Answer",
                         .code = absl::StatusCode::kDeadlineExceeded,
                         .duration = absl::Seconds(1),
                         .admitted = true,
                         .prompt_tokens = 115,
                         .generated_tokens = 7});
  EXPECT_EQ(Value("generated_tokens_total{var=off}"), 7);
  EXPECT_EQ(Value("request_duration_seconds_count{var=off}"), 0);
}

TEST_F(MetricsTest, QueueTimeIsThatOfAllThatWaited) {
  metrics_.OnLeftQueue(Mode::kOn, absl::Milliseconds(10), /*admitted=*/true);
  metrics_.OnLeftQueue(Mode::kOn, absl::Seconds(3), /*admitted=*/false);
  EXPECT_EQ(Value("queue_time_seconds_count{var=on}"), 2);
  EXPECT_EQ(Value("queue_time_seconds_sum{var=on}"), 3.01);
  EXPECT_EQ(Value("queue_time_seconds_count{var=off}"), 0);
}

TEST_F(MetricsTest, TellsTheEnginesState) {
  metrics_.OnHealth({.ready = true, .stuck = true, .failing = true});
  metrics_.OnLoad({.running = 3, .used_blocks = 5, .total_blocks = 20});
  metrics_.OnQueue({.reserved = 4, .waiting = 2, .waiting_tokens = 230, .oldest = absl::Milliseconds(1500)});
  metrics_.OnPrefixLookup(115, 100);
  metrics_.OnStep({.decode_tokens = 3, .duration = absl::Milliseconds(40)});
  metrics_.OnStep({.duration = absl::Milliseconds(40), .failed = true});
  metrics_.OnCorruptedResult();
  metrics_.OnLogLinesDropped(7);
  metrics_.OnLogLinesDropped(9);
  EXPECT_EQ(Value("log_lines_dropped_total{}"), 9);
  EXPECT_EQ(Value("ready{}"), 1);
  EXPECT_EQ(Value("engine_stuck{}"), 1);
  EXPECT_EQ(Value("requests_running{}"), 3);
  EXPECT_EQ(Value("requests_waiting{}"), 6);
  EXPECT_EQ(Value("requests_preparing{}"), 4);
  EXPECT_EQ(Value("oldest_waiting_seconds{}"), 1.5);
  EXPECT_EQ(Value("engine_failing{}"), 1);
  EXPECT_EQ(Value("waiting_tokens{}"), 230);
  EXPECT_EQ(Value("kv_cache_usage_ratio{}"), 0.25);
  EXPECT_EQ(Value("prefix_cache_queries_total{}"), 115);
  EXPECT_EQ(Value("prefix_cache_hits_total{}"), 100);
  EXPECT_EQ(Value("engine_step_seconds_count{}"), 2);
  EXPECT_EQ(Value("batch_size_sum{}"), 3);
  EXPECT_EQ(Value("engine_failed_steps_total{}"), 1);
  EXPECT_EQ(Value("corrupted_requests_total{}"), 1);
  metrics_.OnLoad({});
  EXPECT_EQ(Value("kv_cache_usage_ratio{}"), 0);
}

TEST_F(MetricsTest, NothingIsLostAmongThreads) {
  metrics_.OnModelLoaded({.num_layers = 1});
  constexpr int kThreads = 4;
  constexpr int kRequests = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      interventions::VarReport report;
      report.settings.mode = Mode::kOn;
      report.eligible_rows = 1;
      report.layers = {{}};
      for (int i = 0; i < kRequests; ++i) {
        metrics_.OnNextToken(Mode::kOn, absl::Milliseconds(1));
        metrics_.OnRequestEnd({.transport = "grpc",
                               .method = "Answer",
                               .finish_reason = "stop",
                               .var = Mode::kOn,
                               .report = &report});
        if (i % 50 == 0) metrics_.registry()->Collect();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Value("requests_total{code=OK,finish_reason=stop,method=Answer,transport=grpc,var=on}"),
            kThreads * kRequests);
  EXPECT_EQ(Value("inter_token_latency_seconds_count{var=on}"), kThreads * kRequests);
  EXPECT_EQ(Value("var_layer_rows_total{layer=0,var=on}"), kThreads * kRequests);
}

}  // namespace
}  // namespace varserve::telemetry
