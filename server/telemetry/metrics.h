// Every metric that the server exports, except those of interventions (report_metrics.h); nothing else writes
// them. The table in docs/metrics.md is generated from the registry (tests/unit/telemetry/metric_table.h).
//
// Every series has the label `model`. The label `var` is off, observe or on. Units are base units, and
// counters are preferred to rates. There are no series per request, head or user. All series exist from the
// start, at zero: Prometheus does not see the increase of a counter that begins at one. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/engine/observer.h"
#include "server/interventions/intervention.h"
#include "server/telemetry/metric_families.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::telemetry {

// One series for each mode of VAR.
template <typename T>
using PerMode = std::array<T*, interventions::kModeNames.size()>;

struct LoadedModel {
  std::string dtype;
  std::string device;
  int num_layers = 0;
};

// One finished call, or one setting of a Compare.
struct RequestRecord {
  absl::string_view transport;  // grpc or http
  absl::string_view method;     // Answer, Caption, ...
  absl::StatusCode code = absl::StatusCode::kOk;
  absl::string_view finish_reason = "none";  // stop, stop_string or length; none if the request failed
  interventions::Mode var = interventions::Mode::kOff;
  absl::Duration duration;
  std::optional<absl::Duration> image;  // decoding and resizing
  bool admitted = false;
  std::optional<absl::Duration> prefill;  // admission to first token
  int64_t prompt_tokens = 0;
  int64_t visual_tokens = 0;
  int64_t generated_tokens = 0;
  const interventions::Report* report = nullptr;    // null for OFF
  const interventions::Report* contrast = nullptr;  // of a contrast combined with it; null if there is none
};

class Metrics : public engine::EngineObserver {
 public:
  // `reports`: one entry per intervention that the server offers.
  Metrics(const std::string& model, const std::string& server_version,
          const std::vector<MakeReportMetrics>& reports = {});

  std::shared_ptr<prometheus::Registry> registry() const { return families_.registry(); }
  // The page that Prometheus scrapes.
  std::string Text() const;

  // Must be called once, before the first request is served.
  void OnModelLoaded(const LoadedModel& model);
  void OnRequestEnd(const RequestRecord& record);
  void OnFirstToken(interventions::Mode var, absl::Duration since_arrival);
  void OnNextToken(interventions::Mode var, absl::Duration since_last);
  struct Health {
    bool ready = false;    // accepts requests
    bool stuck = false;    // no step ends
    bool failing = false;  // every step fails, including self-tests
    bool operator==(const Health&) const = default;
  };
  void OnHealth(const Health& health);
  // Images that a request names instead of sending them, and how many of them the server still had.
  void OnImagesNamed(int named, int found);
  void OnImageCache(int64_t bytes);
  // Call before a scrape: requests come and go without a step.
  void OnQueue(const engine::Engine::Load& load);
  // `total`: log lines lost since the start.
  void OnLogLinesDropped(int64_t total);

  // engine::EngineObserver
  void OnLoad(const Load& load) override;
  void OnLeftQueue(interventions::Mode var, absl::Duration queue_time, bool admitted) override;
  void OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) override;
  void OnStep(const Step& step) override;
  void OnCorruptedResult() override;

 private:
  // The series by subject. A constructor adds the series to the registry.
  struct RequestMetrics {
    explicit RequestMetrics(const MetricFamilies& families);

    prometheus::Family<prometheus::Counter>& ended;
    const PerMode<prometheus::Histogram> duration;
    const PerMode<prometheus::Histogram> first_token;
    const PerMode<prometheus::Histogram> inter_token;
    const PerMode<prometheus::Histogram> queue;
    const PerMode<prometheus::Histogram> prefill;
    prometheus::Histogram& image;
    prometheus::Counter& images_named;
    prometheus::Counter& images_found;
    prometheus::Gauge& image_cache;
    const PerMode<prometheus::Counter> prompt_tokens;
    const PerMode<prometheus::Counter> visual_tokens;
    const PerMode<prometheus::Counter> generated_tokens;
  };
  struct LoadMetrics {
    explicit LoadMetrics(const MetricFamilies& families);

    prometheus::Gauge& running;
    prometheus::Gauge& siblings;
    prometheus::Gauge& waiting;
    prometheus::Gauge& preparing;
    prometheus::Gauge& oldest_waiting;
    prometheus::Gauge& waiting_tokens;
    prometheus::Gauge& kv_usage;
  };
  struct HealthMetrics {
    explicit HealthMetrics(const MetricFamilies& families);

    prometheus::Gauge& ready;
    prometheus::Gauge& stuck;
    prometheus::Gauge& failing;
    prometheus::Counter& log_lines_dropped;
  };
  struct StepMetrics {
    explicit StepMetrics(const MetricFamilies& families);

    prometheus::Counter& prefix_queries;
    prometheus::Counter& prefix_hits;
    prometheus::Counter& failed;
    prometheus::Counter& corrupted_requests;
    prometheus::Histogram& duration;
    prometheus::Histogram& batch_size;
  };

  const MetricFamilies families_;
  const RequestMetrics requests_;
  const LoadMetrics load_;
  const HealthMetrics health_;
  const StepMetrics steps_;
  std::atomic<int64_t> log_lines_counted_ = 0;
  std::vector<std::unique_ptr<ReportMetrics>> reports_;  // constant after construction
};

}  // namespace varserve::telemetry
