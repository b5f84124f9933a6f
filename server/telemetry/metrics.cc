#include "server/telemetry/metrics.h"

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varserve::telemetry {
namespace {

using engine::VarMode;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

// From 1 ms, so that small models show, to five minutes.
const std::vector<double> kSeconds = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
                                      1,     2,     5,     10,   20,   60,   120, 300};
const std::vector<double> kRatios = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                     0.3,   0.4,   0.5,   0.6,  0.7,  0.8,  0.9, 1};
const std::vector<double> kSinkTokens = {0, 1, 2, 5, 10, 20, 30, 50, 100, 200, 500, 1000};
const std::vector<double> kSequences = {0, 1, 2, 4, 8, 16, 32, 64, 128};

constexpr std::array<const char*, 3> kModes = {"off", "observe", "on"};
int Index(VarMode mode) { return static_cast<int>(mode); }

template <typename Builder>
auto& Register(Builder builder, const char* name, const char* help, const Labels& model,
               prometheus::Registry& registry) {
  return builder.Name(absl::StrCat("varserve_", name)).Help(help).Labels(model).Register(registry);
}

// "INVALID_ARGUMENT" and so on, as gRPC names them.
std::string CodeName(absl::StatusCode code) { return absl::StatusCodeToString(code); }

void Observe(Histogram& histogram, const std::optional<absl::Duration>& duration) {
  if (duration.has_value()) histogram.Observe(absl::ToDoubleSeconds(*duration));
}

}  // namespace

Metrics::PerMode<Histogram> Metrics::ModeHistogram(const char* name, const char* help,
                                                   const std::vector<double>& buckets) {
  auto& family = Register(prometheus::BuildHistogram(), name, help, model_, *registry_);
  PerMode<Histogram> series;
  for (int i = 0; i < kNumModes; ++i) series[i] = &family.Add({{"var", kModes[i]}}, buckets);
  return series;
}

Metrics::PerMode<Histogram> Metrics::Latency(const char* name, const char* help) {
  return ModeHistogram(name, help, kSeconds);
}

Metrics::PerMode<Counter> Metrics::ModeCounter(const char* name, const char* help) {
  auto& family = Register(prometheus::BuildCounter(), name, help, model_, *registry_);
  PerMode<Counter> series;
  for (int i = 0; i < kNumModes; ++i) series[i] = &family.Add({{"var", kModes[i]}});
  return series;
}

Counter& Metrics::PlainCounter(const char* name, const char* help) {
  return Register(prometheus::BuildCounter(), name, help, model_, *registry_).Add({});
}

Gauge& Metrics::PlainGauge(const char* name, const char* help) {
  return Register(prometheus::BuildGauge(), name, help, model_, *registry_).Add({});
}

Metrics::Metrics(const ModelLabels& labels)
    : registry_(std::make_shared<prometheus::Registry>()),
      model_({{"model", labels.model}}),
      requests_(Register(prometheus::BuildCounter(), "requests_total",
                         "Calls that ended, by gRPC status and reason.", model_, *registry_)),
      duration_(Latency("request_duration_seconds", "From a call's arrival to its end.")),
      first_token_(Latency("time_to_first_token_seconds", "From a call's arrival to its first token.")),
      inter_token_(Latency("inter_token_latency_seconds",
                           "Between two tokens of a request, as the engine makes them.")),
      queue_(Latency("queue_time_seconds", "From submission to admission.")),
      prefill_(Latency("prefill_seconds", "From admission to the first token.")),
      image_(Register(prometheus::BuildHistogram(), "image_seconds",
                      "Decoding and resizing of a request's images.", model_, *registry_)
                 .Add({}, kSeconds)),
      prompt_tokens_(
          ModeCounter("prompt_tokens_total", "Prompt tokens of requests that ran, visual ones included.")),
      visual_tokens_(ModeCounter("visual_tokens_total", "Visual tokens of requests that ran.")),
      generated_tokens_(ModeCounter("generated_tokens_total", "Tokens generated.")),
      running_(PlainGauge("requests_running", "Requests in the batch.")),
      waiting_(PlainGauge("requests_waiting", "Requests in the queue.")),
      waiting_tokens_(PlainGauge("waiting_tokens", "Prompt tokens of the requests in the queue.")),
      kv_usage_(PlainGauge("kv_cache_usage_ratio", "Share of KV blocks that running requests hold.")),
      ready_(PlainGauge("ready", "1 while the server takes requests.")),
      stuck_(
          PlainGauge("engine_stuck", "1 while there is work and no step has ended for the watchdog's time.")),
      prefix_queries_(
          PlainCounter("prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.")),
      prefix_hits_(PlainCounter("prefix_cache_hits_total", "Prompt tokens found in the prefix cache.")),
      steps_(PlainCounter("engine_steps_total", "Steps of the engine.")),
      failed_steps_(PlainCounter("engine_failed_steps_total", "Steps that failed.")),
      step_duration_(Register(prometheus::BuildHistogram(), "engine_step_seconds", "Duration of a step.",
                              model_, *registry_)
                         .Add({}, kSeconds)),
      batch_size_(Register(prometheus::BuildHistogram(), "batch_size",
                           "Sequences that decoded a token in a step.", model_, *registry_)
                      .Add({}, kSequences)) {
  Register(prometheus::BuildGauge(), "model_info", "The model served; always 1.", model_, *registry_)
      .Add({{"dtype", labels.dtype}, {"device", labels.device}, {"layers", absl::StrCat(labels.num_layers)}})
      .Set(1);
  Register(prometheus::BuildGauge(), "build_info", "The server's version; always 1.", model_, *registry_)
      .Add({{"version", labels.version}})
      .Set(1);

  const auto histogram = [&](const char* name, const char* help) -> auto& {
    return Register(prometheus::BuildHistogram(), name, help, model_, *registry_);
  };
  const auto counter = [&](const char* name, const char* help) -> auto& {
    return Register(prometheus::BuildCounter(), name, help, model_, *registry_);
  };
  auto& sinks = histogram("var_sink_tokens", "Sink tokens of a request, mean over its VAR layers.");
  auto& ratio =
      histogram("var_redistributed_attention_ratio",
                "Attention VAR moved in a request, mean over its eligible rows, heads and VAR layers.");
  auto& redistributed =
      counter("var_redistributed_attention_total",
              "Attention VAR moved: mean over heads, summed over eligible rows and VAR layers.");
  auto& centric = histogram("var_image_centric_head_ratio",
                            "Share of a request's (row, head, layer) that is image-centric.");
  auto& visual = histogram("var_visual_attention_ratio",
                           "Attention on visual tokens, mean over a request's rows, heads and VAR layers.");
  auto& layer_sinks =
      counter("var_layer_sink_tokens_total", "Sink tokens of a decoder layer, summed over requests.");
  auto& layer_redistributed =
      counter("var_layer_redistributed_attention_total",
              "Attention VAR moved in a decoder layer: mean over heads, summed over eligible rows.");
  auto& layer_rows = counter("var_layer_rows_total", "Eligible rows of a decoder layer.");
  for (const VarMode mode : {VarMode::kObserve, VarMode::kOn}) {
    const char* var = kModes[Index(mode)];
    var_[Index(mode)] = {&sinks.Add({{"kind", "visual"}, {"var", var}}, kSinkTokens),
                         &sinks.Add({{"kind", "text"}, {"var", var}}, kSinkTokens),
                         &ratio.Add({{"var", var}}, kRatios),
                         &redistributed.Add({{"var", var}}),
                         &centric.Add({{"var", var}}, kRatios),
                         &visual.Add({{"stage", "before"}, {"var", var}}, kRatios),
                         &visual.Add({{"stage", "after"}, {"var", var}}, kRatios)};
    for (int l = 0; l < labels.num_layers; ++l) {
      const std::string layer = absl::StrCat(l);
      layers_[Index(mode)].push_back({&layer_sinks.Add({{"layer", layer}, {"kind", "visual"}, {"var", var}}),
                                      &layer_sinks.Add({{"layer", layer}, {"kind", "text"}, {"var", var}}),
                                      &layer_redistributed.Add({{"layer", layer}, {"var", var}}),
                                      &layer_rows.Add({{"layer", layer}, {"var", var}})});
    }
  }
}

void Metrics::OnRequestEnd(const RequestRecord& r) {
  const int mode = Index(r.var);
  requests_
      .Add({{"method", std::string(r.method)},
            {"code", CodeName(r.code)},
            {"finish_reason", std::string(r.finish_reason)},
            {"var", kModes[mode]}})
      .Increment();
  duration_[mode]->Observe(absl::ToDoubleSeconds(r.duration));
  Observe(image_, r.image);
  Observe(*queue_[mode], r.queue);
  Observe(*prefill_[mode], r.prefill);
  if (r.queue.has_value()) {  // it was admitted
    prompt_tokens_[mode]->Increment(static_cast<double>(r.prompt_tokens));
    visual_tokens_[mode]->Increment(static_cast<double>(r.visual_tokens));
    generated_tokens_[mode]->Increment(static_cast<double>(r.generated_tokens));
  }
  if (r.report != nullptr) OnReport(*r.report);
}

void Metrics::OnReport(const engine::VarReport& report) {
  const int mode = Index(report.settings.mode);
  VarSeries& series = var_[mode];
  if (series.visual_sinks == nullptr) return;
  series.visual_sinks->Observe(report.visual_sink_tokens);
  series.text_sinks->Observe(report.text_sink_tokens);
  for (const engine::VarReport::Layer& layer : report.layers) {
    LayerSeries& l = layers_[mode][layer.layer];
    l.visual_sinks->Increment(layer.visual_sinks);
    l.text_sinks->Increment(layer.text_sinks);
  }
  if (report.eligible_rows == 0) return;
  series.redistributed_ratio->Observe(report.totals.redistributed);
  series.image_centric->Observe(report.totals.image_centric_heads);
  series.visual_before->Observe(report.totals.visual_before);
  series.visual_after->Observe(report.totals.visual_after);
  const auto rows = static_cast<double>(report.eligible_rows);
  for (const engine::VarReport::Layer& layer : report.layers) {
    LayerSeries& l = layers_[mode][layer.layer];
    const double moved = layer.shares.redistributed * rows;
    l.redistributed->Increment(moved);
    l.rows->Increment(rows);
    series.redistributed->Increment(moved);
  }
}

void Metrics::OnFirstToken(VarMode var, absl::Duration since_arrival) {
  first_token_[Index(var)]->Observe(absl::ToDoubleSeconds(since_arrival));
}

void Metrics::OnNextToken(VarMode var, absl::Duration since_last) {
  inter_token_[Index(var)]->Observe(absl::ToDoubleSeconds(since_last));
}

void Metrics::OnHealth(bool ready, bool stuck) {
  ready_.Set(ready ? 1 : 0);
  stuck_.Set(stuck ? 1 : 0);
}

void Metrics::OnLoad(const Load& load) {
  running_.Set(load.running);
  waiting_.Set(load.waiting);
  waiting_tokens_.Set(static_cast<double>(load.waiting_tokens));
  kv_usage_.Set(load.total_blocks == 0 ? 0.0 : static_cast<double>(load.used_blocks) / load.total_blocks);
}

void Metrics::OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) {
  prefix_queries_.Increment(static_cast<double>(queried_tokens));
  prefix_hits_.Increment(static_cast<double>(hit_tokens));
}

void Metrics::OnStep(const Step& step) {
  steps_.Increment();
  if (step.failed) failed_steps_.Increment();
  step_duration_.Observe(absl::ToDoubleSeconds(step.duration));
  batch_size_.Observe(step.decode_tokens);
}

}  // namespace varserve::telemetry
