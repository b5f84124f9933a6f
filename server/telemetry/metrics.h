// Every metric the server exports, and the only place that writes them. docs/metrics.md is made from the
// registry.
//
// Names begin with varserve_; every series has the label `model`. Label `var` is off, observe or on. Base
// units, counters rather than rates. No series is per request, head or user; per layer there are four, for
// each of observe and on. Thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/observer.h"
#include "server/engine/var_report.h"
#include "server/engine/var_settings.h"

namespace varserve::telemetry {

struct ModelLabels {
  std::string model;
  std::string dtype;
  std::string device;
  std::string version;  // of the server
  int num_layers = 0;
};

// One finished call, or one setting of a Compare.
struct RequestRecord {
  absl::string_view method;  // Answer, Caption, ...
  absl::StatusCode code = absl::StatusCode::kOk;
  absl::string_view finish_reason = "none";  // stop, stop_string, length; none where the request failed
  engine::VarMode var = engine::VarMode::kOff;
  absl::Duration duration;
  std::optional<absl::Duration> image;  // decoding and resizing
  std::optional<absl::Duration> queue;
  std::optional<absl::Duration> prefill;  // admission to first token
  int64_t prompt_tokens = 0;
  int64_t visual_tokens = 0;
  int64_t generated_tokens = 0;
  const engine::VarReport* report = nullptr;  // not for OFF
};

class Metrics : public engine::EngineObserver {
 public:
  explicit Metrics(const ModelLabels& labels);

  // The series, for an exposer.
  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

  void OnRequestEnd(const RequestRecord& record);
  void OnFirstToken(engine::VarMode var, absl::Duration since_arrival);
  void OnNextToken(engine::VarMode var, absl::Duration since_last);
  // Readiness and liveness as the health service tells them.
  void OnHealth(bool ready, bool stuck);

  // engine::EngineObserver
  void OnLoad(const Load& load) override;
  void OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) override;
  void OnStep(const Step& step) override;

 private:
  static constexpr int kNumModes = 3;
  template <typename T>
  using PerMode = std::array<T*, kNumModes>;

  PerMode<prometheus::Histogram> Latency(const char* name, const char* help);
  PerMode<prometheus::Histogram> ModeHistogram(const char* name, const char* help,
                                               const std::vector<double>& buckets);
  PerMode<prometheus::Counter> ModeCounter(const char* name, const char* help);
  prometheus::Counter& PlainCounter(const char* name, const char* help);
  prometheus::Gauge& PlainGauge(const char* name, const char* help);
  void OnReport(const engine::VarReport& report);

  const std::shared_ptr<prometheus::Registry> registry_;
  const prometheus::Labels model_;  // {model}

  prometheus::Family<prometheus::Counter>& requests_;
  const PerMode<prometheus::Histogram> duration_;
  const PerMode<prometheus::Histogram> first_token_;
  const PerMode<prometheus::Histogram> inter_token_;
  const PerMode<prometheus::Histogram> queue_;
  const PerMode<prometheus::Histogram> prefill_;
  prometheus::Histogram& image_;
  const PerMode<prometheus::Counter> prompt_tokens_;
  const PerMode<prometheus::Counter> visual_tokens_;
  const PerMode<prometheus::Counter> generated_tokens_;

  prometheus::Gauge& running_;
  prometheus::Gauge& waiting_;
  prometheus::Gauge& waiting_tokens_;
  prometheus::Gauge& kv_usage_;
  prometheus::Gauge& ready_;
  prometheus::Gauge& stuck_;
  prometheus::Counter& prefix_queries_;
  prometheus::Counter& prefix_hits_;
  prometheus::Counter& steps_;
  prometheus::Counter& failed_steps_;
  prometheus::Histogram& step_duration_;
  prometheus::Histogram& batch_size_;

  // VAR; modes observe and on only.
  struct VarSeries {
    prometheus::Histogram* visual_sinks;
    prometheus::Histogram* text_sinks;
    prometheus::Histogram* redistributed_ratio;
    prometheus::Counter* redistributed;
    prometheus::Histogram* image_centric;
    prometheus::Histogram* visual_before;
    prometheus::Histogram* visual_after;
  };
  std::array<VarSeries, kNumModes> var_{};
  struct LayerSeries {
    prometheus::Counter* visual_sinks;
    prometheus::Counter* text_sinks;
    prometheus::Counter* redistributed;
    prometheus::Counter* rows;
  };
  std::array<std::vector<LayerSeries>, kNumModes> layers_;
};

}  // namespace varserve::telemetry
