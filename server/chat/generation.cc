#include "server/chat/generation.h"

#include <utility>

#include "server/chat/reply_size.h"

namespace varserve::chat {
namespace {

using engine::FinishReason;
using engine::SinkVerdict;
using telemetry::LogFields;

constexpr size_t kTokenBytes = 8;  // of an id in a message, and of a message's frame, at most

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kStopString:
      return v1::FINISH_REASON_STOP_STRING;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

absl::string_view ReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kLength:
      return "length";
  }
  return "none";
}

double Seconds(std::optional<absl::Duration> duration) {
  return duration ? absl::ToDoubleSeconds(*duration) : 0.0;
}

LogFields CallFields(const Call& call, interventions::Mode mode, const absl::Status& status, absl::Time now) {
  LogFields fields = {{"request_id", call.metadata().request_id},
                      {"caller", call.metadata().caller},
                      {"transport", std::string(call.metadata().transport)},
                      {"method", std::string(call.method())},
                      {"code", absl::StatusCodeToString(status.code())},
                      {"var", interventions::ModeName(mode)},
                      {"seconds", absl::ToDoubleSeconds(now - call.metadata().arrival)}};
  if (!call.metadata().traceparent.empty()) fields.push_back({"traceparent", call.metadata().traceparent});
  if (!status.ok()) fields.push_back({"error", std::string(status.message())});
  return fields;
}

}  // namespace

Generation::Generation(const GenerationServices& services, std::shared_ptr<Call> call, GenerationSpec spec)
    : services_(services),
      call_(std::move(call)),
      spec_(std::move(spec)),
      detokenizer_(services.tokenizer),
      stop_(spec_.stop) {}

void Generation::Describe(v1::Started& started) const {
  spec_.intervention->Describe(started);
  if (spec_.contrast == nullptr) return;
  if (spec_.intervention->intervention() == nullptr)
    started.clear_intervention();  // of attention that is OFF
  started.mutable_intervention()->MergeFrom(spec_.contrast->effective);
}

int Generation::num_visual_tokens() const {
  int count = 0;
  for (const ImageSpan& span : spec_.prompt->spans) count += span.layout->num_visual_tokens();
  return count;
}

void Generation::OnStarted(const engine::StartedInfo& info) {
  started_ = info;
  if (spec_.sibling_prompt != nullptr) {
    contrast_report_.method = spec_.contrast->method;
    contrast_report_.sibling_prompt_tokens = spec_.sibling_prompt->size();
    contrast_report_.sibling_cached_tokens = info.sibling_cached_tokens;
  }
  admitted_ = services_.clock->Now();
  v1::GenerateResponse response;
  v1::Started& started = *response.mutable_started();
  started.set_request_id(call_->metadata().request_id);
  started.set_model(services_.model_name);
  started.set_prompt_tokens(static_cast<uint32_t>(spec_.prompt->size()));
  started.set_visual_tokens(static_cast<uint32_t>(num_visual_tokens()));
  started.set_cached_tokens(static_cast<uint32_t>(info.cached_tokens));
  started.set_images_kept(spec_.images_kept);
  Describe(started);
  for (const std::shared_ptr<const ProcessedImage>& image : spec_.prompt->images) {
    v1::ImageRegion& region = *started.add_image_regions();
    region.set_left(image->region.left);
    region.set_top(image->region.top);
    region.set_right(image->region.right);
    region.set_bottom(image->region.bottom);
    region.set_rows(static_cast<uint32_t>(image->layout->rows));
    region.set_columns(static_cast<uint32_t>(image->layout->cols));
    region.set_thumbnail_rows(static_cast<uint32_t>(image->layout->thumbnail_rows));
    region.set_thumbnail_columns(static_cast<uint32_t>(image->layout->thumbnail_cols));
  }
  call_->stream().Send(spec_.setting, std::move(response));
}

SinkVerdict Generation::OnToken(const engine::Token& token) {
  const absl::Time now = services_.clock->Now();
  if (!first_token_.has_value()) {
    first_token_ = now;
    services_.metrics->OnFirstToken(spec_.intervention->mode(), now - call_->metadata().arrival);
  } else {
    services_.metrics->OnNextToken(spec_.intervention->mode(), now - last_token_);
  }
  last_token_ = now;

  generated_.push_back(token.id);
  if (spec_.sibling_prompt != nullptr) contrast_report_.Add(token.contrast);
  AddUnsent(token);
  absl::StatusOr<std::string> text = detokenizer_.Add(token.id);
  if (!text.ok()) {
    text_error_ = text.status();
    return SinkVerdict::kStop;
  }
  SendText(stop_.Add(*text, detokenizer_.held()));
  return stop_.stopped() ? SinkVerdict::kStop : SinkVerdict::kContinue;
}

void Generation::AddUnsent(const engine::Token& token) {
  unsent_.add_token_ids(static_cast<uint32_t>(token.id));
  unsent_bytes_ += kTokenBytes;
  if (!spec_.logprobs) return;
  v1::TokenLogprob& logprob = *unsent_.add_logprobs();
  logprob.set_token_id(static_cast<uint32_t>(token.id));
  logprob.set_logprob(token.logprob);
  for (const auto& [id, value] : token.top) {
    v1::TokenLogprob::Alternative& alternative = *logprob.add_top();
    alternative.set_token_id(static_cast<uint32_t>(id));
    alternative.set_logprob(value);
    alternative.set_text(services_.tokenizer->TokenText(id));
  }
  unsent_bytes_ += logprob.ByteSizeLong() + kTokenBytes;
}

void Generation::SendText(std::string text) {
  if (text.empty() && unsent_bytes_ <= kMaxDeltaBytes) return;
  text_ += text;
  SendDelta(std::move(text));
}

void Generation::SendDelta(std::string text) {
  v1::GenerateResponse response;
  *response.mutable_delta() = std::exchange(unsent_, v1::Delta());
  response.mutable_delta()->set_text(std::move(text));
  unsent_bytes_ = 0;
  call_->stream().Send(spec_.setting, std::move(response));
}

void Generation::OnFinished(FinishReason reason, std::unique_ptr<const interventions::Report> report) {
  if (text_error_.ok() && !stop_.stopped()) {
    absl::StatusOr<std::string> rest = detokenizer_.Finish();
    text_error_ = rest.status();
    if (rest.ok()) {
      std::string text = stop_.Add(*rest);
      text += stop_.Finish();
      // Its last characters may complete a stop string only now.
      if (stop_.stopped()) reason = FinishReason::kStopString;
      SendText(std::move(text));
    }
  }
  if (!text_error_.ok()) return OnFailed(text_error_);

  if (!stop_.stopped() && unsent_.token_ids_size() > 0) SendDelta("");  // tokens without text
  v1::GenerateResponse response;
  const absl::Time now = services_.clock->Now();
  SetFinished(reason, report.get(), now, *response.mutable_finished());
  // It counts as what its caller gets: that may leave before the last message is written.
  call_->stream().NotifyBeforeEnd(
      [self = shared_from_this(), now, reason = ReasonName(reason), report = std::move(report)] {
        const absl::Status departure = self->call_->stream().departure();
        departure.ok() ? self->Account(departure, reason, report.get(), now)
                       : self->Account(departure, "none", nullptr, now);
      });
  call_->stream().Send(spec_.setting, std::move(response));
  call_->GenerationEnded();
}

void Generation::SetFinished(FinishReason reason, const interventions::Report* report, absl::Time now,
                             v1::Finished& finished) const {
  const absl::Time arrival = call_->metadata().arrival;
  finished.set_finish_reason(ToProto(reason));
  finished.set_text(std::string(Shortened(text_)));
  finished.set_text_truncated(finished.text().size() < text_.size());
  finished.mutable_usage()->set_prompt_tokens(static_cast<uint32_t>(spec_.prompt->size()));
  finished.mutable_usage()->set_visual_tokens(static_cast<uint32_t>(num_visual_tokens()));
  finished.mutable_usage()->set_cached_tokens(static_cast<uint32_t>(started_.cached_tokens));
  finished.mutable_usage()->set_generated_tokens(static_cast<uint32_t>(generated_.size()));
  if (spec_.sibling_prompt != nullptr) {
    finished.mutable_usage()->set_sibling_tokens(
        static_cast<uint32_t>(spec_.sibling_prompt->size() + generated_.size()));
    *finished.mutable_contrast_report() = spec_.contrast->ToProto(contrast_report_);
  }
  v1::Timing& timing = *finished.mutable_timing();
  timing.set_image_seconds(Seconds(spec_.image_time));
  timing.set_queue_seconds(absl::ToDoubleSeconds(started_.queue_time));
  if (first_token_.has_value()) {
    timing.set_prefill_seconds(absl::ToDoubleSeconds(*first_token_ - *admitted_));
    timing.set_first_token_seconds(absl::ToDoubleSeconds(*first_token_ - arrival));
  }
  timing.set_total_seconds(absl::ToDoubleSeconds(now - arrival));
  if (report != nullptr) {
    spec_.intervention->Convert(
        *report,
        {.prompt = *spec_.prompt,
         .generated = generated_,
         .token_text = [this](int32_t id) { return services_.tokenizer->TokenText(id); },
         .max_map_bytes = services_.max_map_bytes,
         .max_bytes = kMaxAnswerBytes - finished.text().size()},
        finished);
  }
}

void Generation::OnFailed(const absl::Status& status) {
  // The engine cancels it for its caller, who may have run out of time.
  const absl::Status departure = call_->stream().departure();
  const bool left = absl::IsCancelled(status) && !departure.ok();
  Account(left ? departure : status, "none", nullptr, services_.clock->Now());
  call_->Fail(status);
}

void Generation::Account(const absl::Status& status, absl::string_view reason,
                         const interventions::Report* report, absl::Time now) const {
  telemetry::RequestRecord record{.transport = call_->metadata().transport,
                                  .method = call_->method(),
                                  .code = status.code(),
                                  .finish_reason = reason,
                                  .var = spec_.intervention->mode(),
                                  .duration = now - call_->metadata().arrival,
                                  .prompt_tokens = spec_.prompt->size(),
                                  .visual_tokens = num_visual_tokens(),
                                  .generated_tokens = static_cast<int64_t>(generated_.size()),
                                  .report = report,
                                  .contrast = spec_.sibling_prompt == nullptr ? nullptr : &contrast_report_};
  if (spec_.setting == 0) record.image = spec_.image_time;  // once, for all settings
  record.admitted = admitted_.has_value();
  if (first_token_.has_value()) record.prefill = *first_token_ - *admitted_;
  services_.metrics->OnRequestEnd(record);

  LogFields fields = CallFields(*call_, spec_.intervention->mode(), status, now);
  fields.push_back({"finish_reason", std::string(reason)});
  fields.push_back({"prompt_tokens", static_cast<int64_t>(spec_.prompt->size())});
  fields.push_back({"cached_tokens", static_cast<int64_t>(started_.cached_tokens)});
  fields.push_back({"generated_tokens", static_cast<int64_t>(generated_.size())});
  fields.push_back({"queue_seconds", absl::ToDoubleSeconds(started_.queue_time)});
  if (first_token_.has_value()) {
    fields.push_back(
        {"first_token_seconds", absl::ToDoubleSeconds(*first_token_ - call_->metadata().arrival)});
  }
  const auto append = [&fields](const LogFields& more) {
    fields.insert(fields.end(), more.begin(), more.end());
  };
  if (report != nullptr) append(spec_.intervention->LogFieldsOf(*report));
  if (spec_.sibling_prompt != nullptr) append(spec_.contrast->LogFieldsOf(contrast_report_));
  services_.logger->Call(status, fields);
}

void AccountRefusal(telemetry::Metrics& metrics, telemetry::Logger& logger, const Call& call,
                    interventions::Mode mode, const absl::Status& status, absl::Time now) {
  metrics.OnRequestEnd({.transport = call.metadata().transport,
                        .method = call.method(),
                        .code = status.code(),
                        .finish_reason = "none",
                        .var = mode,
                        .duration = now - call.metadata().arrival});
  logger.Call(status, CallFields(call, mode, status, now));
}

}  // namespace varserve::chat
