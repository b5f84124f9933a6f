#include "server/telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace varserve::telemetry {
namespace {

using absl::StatusCode;
using interventions::kModeNames;
using interventions::Mode;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

// From 1 ms, which resolves small models, to five minutes.
const std::vector<double> kSeconds = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
                                      1,     2,     5,     10,   20,   60,   120, 300};
const std::vector<double> kSequences = {0, 1, 2, 4, 8, 16, 32, 64, 128};

int Index(Mode mode) { return static_cast<int>(mode); }

void Observe(Histogram& histogram, const std::optional<absl::Duration>& duration) {
  if (duration.has_value()) histogram.Observe(absl::ToDoubleSeconds(*duration));
}

Counter& AddCounter(const MetricFamilies& families, const char* name, const char* help) {
  return families.Counter(name, help).Add({});
}

Gauge& AddGauge(const MetricFamilies& families, const char* name, const char* help) {
  return families.Gauge(name, help).Add({});
}

Histogram& AddHistogram(const MetricFamilies& families, const char* name, const char* help,
                        const std::vector<double>& bounds) {
  return families.Histogram(name, help).Add({}, bounds);
}

PerMode<Histogram> AddLatency(const MetricFamilies& families, const char* name, const char* help) {
  Family<Histogram>& family = families.Histogram(name, help);
  PerMode<Histogram> series;
  for (size_t i = 0; i < series.size(); ++i) series[i] = &family.Add({{"var", kModeNames[i]}}, kSeconds);
  return series;
}

PerMode<Counter> AddTokens(const MetricFamilies& families, const char* name, const char* help) {
  Family<Counter>& family = families.Counter(name, help);
  PerMode<Counter> series;
  for (size_t i = 0; i < series.size(); ++i) series[i] = &family.Add({{"var", kModeNames[i]}});
  return series;
}

// gRPC's names of the codes.
Counter& RequestSeries(Family<Counter>& requests, absl::string_view transport, absl::string_view method,
                       StatusCode code, absl::string_view finish_reason, Mode var) {
  return requests.Add({{"transport", std::string(transport)},
                       {"method", std::string(method)},
                       {"code", absl::StatusCodeToString(code)},
                       {"finish_reason", std::string(finish_reason)},
                       {"var", ModeName(var)}});
}

// Every combination that a client can cause.
void AddRequestSeries(Family<Counter>& requests) {
  for (const auto& [transport, method] :
       {std::pair{"grpc", "Answer"}, std::pair{"grpc", "Caption"}, std::pair{"grpc", "Generate"},
        std::pair{"grpc", "Compare"}, std::pair{"http", "ChatCompletions"}}) {
    for (const Mode var : {Mode::kOff, Mode::kObserve, Mode::kOn}) {
      for (const char* reason : {"stop", "stop_string", "length"}) {
        RequestSeries(requests, transport, method, StatusCode::kOk, reason, var);
      }
      for (const StatusCode code :
           {StatusCode::kInvalidArgument, StatusCode::kFailedPrecondition, StatusCode::kResourceExhausted,
            StatusCode::kDeadlineExceeded, StatusCode::kUnauthenticated, StatusCode::kUnavailable,
            StatusCode::kInternal, StatusCode::kCancelled, StatusCode::kNotFound}) {
        RequestSeries(requests, transport, method, code, "none", var);
      }
    }
  }
  for (const StatusCode code :
       {StatusCode::kOk, StatusCode::kInvalidArgument, StatusCode::kUnauthenticated, StatusCode::kUnavailable,
        StatusCode::kResourceExhausted, StatusCode::kDeadlineExceeded, StatusCode::kCancelled}) {
    RequestSeries(requests, "grpc", "GetModel", code, "none", Mode::kOff);
  }
  for (const StatusCode code : {StatusCode::kOk, StatusCode::kInvalidArgument, StatusCode::kUnauthenticated,
                                StatusCode::kUnavailable, StatusCode::kNotFound}) {
    RequestSeries(requests, "http", "ListModels", code, "none", Mode::kOff);
  }
}

}  // namespace

Metrics::RequestMetrics::RequestMetrics(const MetricFamilies& families)
    : ended(families.Counter("requests_total",
                             "Calls that ended, by gRPC status; each setting of a Compare counts, and each "
                             "answer of a request for n. var is off "
                             "if the request was rejected before its mode was known.")),
      duration(AddLatency(families, "request_duration_seconds",
                          "From a call's arrival to its end, for calls that ended with OK.")),
      first_token(
          AddLatency(families, "time_to_first_token_seconds", "From a call's arrival to its first token.")),
      inter_token(AddLatency(families, "inter_token_latency_seconds",
                             "Time between two tokens of a request in the engine.")),
      queue(AddLatency(families, "queue_time_seconds",
                       "Waiting time of a request, for preparation and for admission; including requests "
                       "that ended while waiting.")),
      prefill(AddLatency(families, "prefill_seconds", "From admission to the first token.")),
      image(
          AddHistogram(families, "image_seconds", "Decoding and resizing of a request's images.", kSeconds)),
      images_named(AddCounter(families, "image_cache_queries_total",
                              "Images that requests named by their digest instead of sending them.")),
      images_found(AddCounter(
          families, "image_cache_hits_total",
          "Images that requests named by their digest and that the server still had of the caller.")),
      image_cache(AddGauge(families, "image_cache_bytes",
                           "Memory of the images that callers can name by their digest.")),
      prompt_tokens(AddTokens(families, "prompt_tokens_total",
                              "Prompt tokens of admitted requests, including visual tokens.")),
      visual_tokens(AddTokens(families, "visual_tokens_total", "Visual tokens of admitted requests.")),
      generated_tokens(
          AddTokens(families, "generated_tokens_total", "Tokens generated for requests that ended.")) {
  AddRequestSeries(ended);
}

Metrics::LoadMetrics::LoadMetrics(const MetricFamilies& families)
    : running(AddGauge(families, "requests_running", "Requests in the batch.")),
      siblings(AddGauge(families, "siblings_running",
                        "Sequences that contrasts run in addition to those of the requests in the batch.")),
      waiting(AddGauge(families, "requests_waiting", "Accepted requests that are not running yet.")),
      preparing(AddGauge(families, "requests_preparing",
                         "Waiting requests whose pictures and prompt are not prepared yet.")),
      oldest_waiting(AddGauge(families, "oldest_waiting_seconds",
                              "Waiting time of the oldest waiting request; 0 if none is waiting.")),
      waiting_tokens(AddGauge(families, "waiting_tokens",
                              "Prompt tokens of waiting requests whose prompts are prepared.")),
      kv_usage(AddGauge(families, "kv_cache_usage_ratio", "Share of KV blocks that running requests hold.")) {
}

Metrics::HealthMetrics::HealthMetrics(const MetricFamilies& families)
    : ready(AddGauge(families, "ready", "1 while the server accepts requests.")),
      stuck(
          AddGauge(families, "engine_stuck", "1 while there is work but no step has ended for --watchdog.")),
      failing(AddGauge(families, "engine_failing",
                       "1 while every step fails, including the server's self-tests.")),
      log_lines_dropped(AddCounter(families, "log_lines_dropped_total",
                                   "Log lines lost because standard error was blocked or gone.")) {}

Metrics::StepMetrics::StepMetrics(const MetricFamilies& families)
    : prefix_queries(
          AddCounter(families, "prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.")),
      prefix_hits(
          AddCounter(families, "prefix_cache_hits_total", "Prompt tokens found in the prefix cache.")),
      failed(AddCounter(families, "engine_failed_steps_total", "Steps that failed as a whole.")),
      corrupted_requests(AddCounter(families, "corrupted_requests_total",
                                    "Requests ended because their logits were not finite.")),
      duration(AddHistogram(families, "engine_step_seconds", "Duration of a step.", kSeconds)),
      batch_size(
          AddHistogram(families, "batch_size", "Sequences that decoded a token in a step.", kSequences)) {}

Metrics::Metrics(const std::string& model, const std::string& server_version,
                 const std::vector<MakeReportMetrics>& reports)
    : families_(model), requests_(families_), load_(families_), health_(families_), steps_(families_) {
  for (const MakeReportMetrics make : reports) reports_.push_back(make(families_));
  AddGauge(families_, "start_time_seconds", "Start time of the server, in seconds since 1970.")
      .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  families_.Gauge("build_info", "The server's version; always 1.").Add({{"version", server_version}}).Set(1);
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(registry()->Collect()); }

void Metrics::OnModelLoaded(const LoadedModel& model) {
  families_.Gauge("model_info", "The model served; always 1.")
      .Add({{"dtype", model.dtype}, {"device", model.device}, {"layers", absl::StrCat(model.num_layers)}})
      .Set(1);
  for (const auto& metrics : reports_) metrics->OnModelLoaded(model.num_layers);
}

void Metrics::OnRequestEnd(const RequestRecord& r) {
  const int mode = Index(r.var);
  RequestSeries(requests_.ended, r.transport, r.method, r.code, r.finish_reason, r.var).Increment();
  if (r.admitted) {
    requests_.prompt_tokens[mode]->Increment(static_cast<double>(r.prompt_tokens));
    requests_.visual_tokens[mode]->Increment(static_cast<double>(r.visual_tokens));
    requests_.generated_tokens[mode]->Increment(static_cast<double>(r.generated_tokens));
    if (r.code == StatusCode::kOk) requests_.duration[mode]->Observe(absl::ToDoubleSeconds(r.duration));
  }
  Observe(requests_.image, r.image);
  Observe(*requests_.prefill[mode], r.prefill);
  for (const interventions::Report* report : {r.report, r.contrast}) {
    if (report == nullptr) continue;
    for (const auto& metrics : reports_) metrics->OnReport(*report);
  }
}

void Metrics::OnFirstToken(Mode var, absl::Duration since_arrival) {
  requests_.first_token[Index(var)]->Observe(absl::ToDoubleSeconds(since_arrival));
}

void Metrics::OnNextToken(Mode var, absl::Duration since_last) {
  requests_.inter_token[Index(var)]->Observe(absl::ToDoubleSeconds(since_last));
}

void Metrics::OnImagesNamed(int named, int found) {
  requests_.images_named.Increment(named);
  requests_.images_found.Increment(found);
}

void Metrics::OnImageCache(int64_t bytes) { requests_.image_cache.Set(static_cast<double>(bytes)); }

void Metrics::OnHealth(const Health& health) {
  health_.ready.Set(health.ready ? 1 : 0);
  health_.stuck.Set(health.stuck ? 1 : 0);
  health_.failing.Set(health.failing ? 1 : 0);
}

void Metrics::OnLogLinesDropped(int64_t total) {
  const int64_t counted = log_lines_counted_.exchange(total);
  health_.log_lines_dropped.Increment(static_cast<double>(total - counted));
}

void Metrics::OnLoad(const Load& load) {
  load_.running.Set(load.running);
  load_.siblings.Set(load.siblings);
  load_.kv_usage.Set(load.total_blocks == 0 ? 0.0
                                            : static_cast<double>(load.used_blocks) / load.total_blocks);
}

void Metrics::OnQueue(const engine::Engine::Load& load) {
  load_.waiting.Set(load.reserved + load.waiting);
  load_.preparing.Set(load.reserved);
  load_.oldest_waiting.Set(absl::ToDoubleSeconds(load.oldest));
  load_.waiting_tokens.Set(static_cast<double>(load.waiting_tokens));
}

void Metrics::OnLeftQueue(Mode var, absl::Duration queue_time, bool /*admitted*/) {
  requests_.queue[Index(var)]->Observe(absl::ToDoubleSeconds(queue_time));
}

void Metrics::OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) {
  steps_.prefix_queries.Increment(static_cast<double>(queried_tokens));
  steps_.prefix_hits.Increment(static_cast<double>(hit_tokens));
}

void Metrics::OnStep(const Step& step) {
  if (step.failed) steps_.failed.Increment();
  steps_.duration.Observe(absl::ToDoubleSeconds(step.duration));
  steps_.batch_size.Observe(step.decode_tokens);
}

void Metrics::OnCorruptedResult() { steps_.corrupted_requests.Increment(); }

}  // namespace varserve::telemetry
