#include "server/telemetry/metrics.h"

#include <prometheus/text_serializer.h>

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

// gRPC's names of the codes.
Counter& RequestSeries(Family<Counter>& requests, absl::string_view method, StatusCode code,
                       absl::string_view finish_reason, Mode var) {
  return requests.Add({{"method", std::string(method)},
                       {"code", absl::StatusCodeToString(code)},
                       {"finish_reason", std::string(finish_reason)},
                       {"var", ModeName(var)}});
}

}  // namespace

Metrics::PerMode<Histogram> Metrics::Latency(const char* name, const char* help) const {
  Family<Histogram>& family = families_.Histogram(name, help);
  PerMode<Histogram> series;
  for (size_t i = 0; i < series.size(); ++i) series[i] = &family.Add({{"var", kModeNames[i]}}, kSeconds);
  return series;
}

Metrics::PerMode<Counter> Metrics::Tokens(const char* name, const char* help) const {
  Family<Counter>& family = families_.Counter(name, help);
  PerMode<Counter> series;
  for (size_t i = 0; i < series.size(); ++i) series[i] = &family.Add({{"var", kModeNames[i]}});
  return series;
}

Metrics::Metrics(const std::string& model, const std::string& server_version,
                 const std::vector<MakeReportMetrics>& reports)
    : families_(model),
      requests_(families_.Counter("requests_total",
                                  "Calls that ended, by gRPC status; each setting of a Compare counts. var "
                                  "is off if the request was rejected before its mode was known.")),
      duration_(Latency("request_duration_seconds",
                        "From a call's arrival to its end, for calls that ended with OK.")),
      first_token_(Latency("time_to_first_token_seconds", "From a call's arrival to its first token.")),
      inter_token_(
          Latency("inter_token_latency_seconds", "Time between two tokens of a request in the engine.")),
      queue_(Latency("queue_time_seconds",
                     "Waiting time of a request, for preparation and for admission; including requests that "
                     "ended while waiting.")),
      prefill_(Latency("prefill_seconds", "From admission to the first token.")),
      image_(families_.Histogram("image_seconds", "Decoding and resizing of a request's images.")
                 .Add({}, kSeconds)),
      prompt_tokens_(
          Tokens("prompt_tokens_total", "Prompt tokens of admitted requests, including visual tokens.")),
      visual_tokens_(Tokens("visual_tokens_total", "Visual tokens of admitted requests.")),
      generated_tokens_(Tokens("generated_tokens_total", "Tokens generated for requests that ended.")),
      running_(families_.Gauge("requests_running", "Requests in the batch.").Add({})),
      waiting_(families_.Gauge("requests_waiting", "Accepted requests that are not running yet.").Add({})),
      preparing_(
          families_
              .Gauge("requests_preparing", "Waiting requests whose pictures and prompt are not prepared yet.")
              .Add({})),
      oldest_waiting_(families_
                          .Gauge("oldest_waiting_seconds",
                                 "Waiting time of the oldest waiting request; 0 if none is waiting.")
                          .Add({})),
      waiting_tokens_(
          families_.Gauge("waiting_tokens", "Prompt tokens of waiting requests whose prompts are prepared.")
              .Add({})),
      kv_usage_(
          families_.Gauge("kv_cache_usage_ratio", "Share of KV blocks that running requests hold.").Add({})),
      ready_(families_.Gauge("ready", "1 while the server accepts requests.").Add({})),
      stuck_(families_.Gauge("engine_stuck", "1 while there is work but no step has ended for --watchdog.")
                 .Add({})),
      failing_(
          families_.Gauge("engine_failing", "1 while every step fails, including the server's self-tests.")
              .Add({})),
      log_lines_dropped_(families_
                             .Counter("log_lines_dropped_total",
                                      "Log lines lost because standard error was blocked or gone.")
                             .Add({})),
      prefix_queries_(
          families_.Counter("prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.")
              .Add({})),
      prefix_hits_(
          families_.Counter("prefix_cache_hits_total", "Prompt tokens found in the prefix cache.").Add({})),
      failed_steps_(families_.Counter("engine_failed_steps_total", "Steps that failed as a whole.").Add({})),
      corrupted_requests_(
          families_
              .Counter("corrupted_requests_total", "Requests ended because their logits were not finite.")
              .Add({})),
      step_duration_(families_.Histogram("engine_step_seconds", "Duration of a step.").Add({}, kSeconds)),
      batch_size_(families_.Histogram("batch_size", "Sequences that decoded a token in a step.")
                      .Add({}, kSequences)) {
  for (const MakeReportMetrics make : reports) reports_.push_back(make(families_));
  families_.Gauge("start_time_seconds", "Start time of the server, in seconds since 1970.")
      .Add({})
      .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  families_.Gauge("build_info", "The server's version; always 1.").Add({{"version", server_version}}).Set(1);
  AddRequestSeries();
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(registry()->Collect()); }

void Metrics::AddRequestSeries() {
  for (const char* method : {"Answer", "Caption", "Generate", "Compare"}) {
    for (const Mode var : {Mode::kOff, Mode::kObserve, Mode::kOn}) {
      for (const char* reason : {"stop", "stop_string", "length"}) {
        RequestSeries(requests_, method, StatusCode::kOk, reason, var);
      }
      for (const StatusCode code :
           {StatusCode::kInvalidArgument, StatusCode::kFailedPrecondition, StatusCode::kResourceExhausted,
            StatusCode::kDeadlineExceeded, StatusCode::kUnauthenticated, StatusCode::kUnavailable,
            StatusCode::kInternal, StatusCode::kCancelled}) {
        RequestSeries(requests_, method, code, "none", var);
      }
    }
  }
  for (const StatusCode code : {StatusCode::kOk, StatusCode::kUnauthenticated, StatusCode::kUnavailable}) {
    RequestSeries(requests_, "GetModel", code, "none", Mode::kOff);
  }
}

void Metrics::OnModelLoaded(const LoadedModel& model) {
  families_.Gauge("model_info", "The model served; always 1.")
      .Add({{"dtype", model.dtype}, {"device", model.device}, {"layers", absl::StrCat(model.num_layers)}})
      .Set(1);
  for (const auto& metrics : reports_) metrics->OnModelLoaded(model.num_layers);
}

void Metrics::OnRequestEnd(const RequestRecord& r) {
  const int mode = Index(r.var);
  RequestSeries(requests_, r.method, r.code, r.finish_reason, r.var).Increment();
  if (r.admitted) {
    prompt_tokens_[mode]->Increment(static_cast<double>(r.prompt_tokens));
    visual_tokens_[mode]->Increment(static_cast<double>(r.visual_tokens));
    generated_tokens_[mode]->Increment(static_cast<double>(r.generated_tokens));
    if (r.code == StatusCode::kOk) duration_[mode]->Observe(absl::ToDoubleSeconds(r.duration));
  }
  Observe(image_, r.image);
  Observe(*prefill_[mode], r.prefill);
  if (r.report == nullptr) return;
  for (const auto& metrics : reports_) metrics->OnReport(*r.report);
}

void Metrics::OnFirstToken(Mode var, absl::Duration since_arrival) {
  first_token_[Index(var)]->Observe(absl::ToDoubleSeconds(since_arrival));
}

void Metrics::OnNextToken(Mode var, absl::Duration since_last) {
  inter_token_[Index(var)]->Observe(absl::ToDoubleSeconds(since_last));
}

void Metrics::OnHealth(const Health& health) {
  ready_.Set(health.ready ? 1 : 0);
  stuck_.Set(health.stuck ? 1 : 0);
  failing_.Set(health.failing ? 1 : 0);
}

void Metrics::OnLogLinesDropped(int64_t total) {
  const int64_t counted = log_lines_counted_.exchange(total);
  log_lines_dropped_.Increment(static_cast<double>(total - counted));
}

void Metrics::OnLoad(const Load& load) {
  running_.Set(load.running);
  kv_usage_.Set(load.total_blocks == 0 ? 0.0 : static_cast<double>(load.used_blocks) / load.total_blocks);
}

void Metrics::OnQueue(const engine::Engine::Load& load) {
  waiting_.Set(load.reserved + load.waiting);
  preparing_.Set(load.reserved);
  oldest_waiting_.Set(absl::ToDoubleSeconds(load.oldest));
  waiting_tokens_.Set(static_cast<double>(load.waiting_tokens));
}

void Metrics::OnLeftQueue(Mode var, absl::Duration queue_time, bool /*admitted*/) {
  queue_[Index(var)]->Observe(absl::ToDoubleSeconds(queue_time));
}

void Metrics::OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) {
  prefix_queries_.Increment(static_cast<double>(queried_tokens));
  prefix_hits_.Increment(static_cast<double>(hit_tokens));
}

void Metrics::OnStep(const Step& step) {
  if (step.failed) failed_steps_.Increment();
  step_duration_.Observe(absl::ToDoubleSeconds(step.duration));
  batch_size_.Observe(step.decode_tokens);
}

void Metrics::OnCorruptedResult() { corrupted_requests_.Increment(); }

}  // namespace varserve::telemetry
