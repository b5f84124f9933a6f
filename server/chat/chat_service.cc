#include "server/chat/chat_service.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"
#include "server/chat/call_images.h"
#include "server/chat/method_settings.h"
#include "server/chat/sibling_prompt.h"

namespace varserve::chat {
namespace {

using interventions::Mode;

uint64_t RandomSeed() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random();
}

// Whether a call's work is still wanted.
absl::Status StillWanted(const Call& call, const Clock& clock) {
  if (clock.Now() >= call.metadata().deadline) {
    return absl::DeadlineExceededError(
        "deadline: passed before the request reached the queue; give more time");
  }
  return call.stream().departure();
}

struct RequestOptions {
  SamplingRequest sampling;
  std::vector<MethodSettings> settings;
};

absl::StatusOr<RequestOptions> ReadOptions(const ServingModel& model, const ChatRequest& chat) {
  RequestOptions options;
  absl::StatusOr<SamplingRequest> sampling = ReadGenerateOptions(
      *chat.options, static_cast<int>(model.description.decoder().vocabulary()), RandomSeed());
  if (!sampling.ok()) {
    return chat.options_field.empty() ? sampling.status()
                                      : Prefixed(absl::StrCat(chat.options_field, "."), sampling.status());
  }
  options.sampling = *std::move(sampling);
  for (const ChatRequest::Setting& setting : chat.settings) {
    ASSIGN_OR_RETURN(options.settings.emplace_back(), ReadMethods(setting, model.intervention_defaults));
  }
  return options;
}

// The prompts of one call: its own, and those of its settings' siblings.
struct Prompts {
  std::shared_ptr<const Prompt> own;
  std::vector<std::shared_ptr<const engine::Contrast>> contrasts;  // one per setting; null: no sibling
};

absl::StatusOr<Prompts> BuildPrompts(const ServingModel& model, const ChatRequest& chat,
                                     const RequestOptions& options, const CallImages& pictures) {
  const text::PromptBuilder& builder = model.preprocessor->prompt_builder();
  const auto context = static_cast<int>(model.description.decoder().context());
  absl::StatusOr<Prompt> built = builder.Build(chat.messages, pictures.images, context);
  if (!built.ok()) return InRequest(chat, built.status());
  Prompts prompts{.own = std::make_shared<const Prompt>(*std::move(built)), .contrasts = {}};
  for (size_t i = 0; i < options.settings.size(); ++i) {
    std::shared_ptr<const engine::Contrast>& contrast = prompts.contrasts.emplace_back();
    const interventions::ContrastSetting* const setting = options.settings[i].contrast.get();
    if (setting == nullptr) continue;
    absl::StatusOr<std::shared_ptr<const Prompt>> sibling =
        MakeSiblingPrompt(builder, chat.messages, *prompts.own, setting->sibling, context);
    if (!sibling.ok())
      return Prefixed(absl::StrCat(options.settings[i].contrast_field, ": "), sibling.status());
    if (*sibling == nullptr) continue;
    contrast = std::make_shared<const engine::Contrast>(
        engine::Contrast{.prompt = *std::move(sibling), .rule = setting->rule});
  }
  return prompts;
}

// One generation for each setting, all of the same prompt.
std::vector<engine::Submission> MakeGroup(const ServingModel& model, const std::shared_ptr<Call>& call,
                                          const RequestOptions& options, bool seed_per_setting,
                                          const Prompts& prompts, std::optional<absl::Duration> image_time,
                                          bool images_kept) {
  const auto context = static_cast<int>(model.description.decoder().context());
  const auto max_tokens = static_cast<int>(model.description.limits().max_tokens());
  std::vector<engine::Submission> group;
  for (size_t i = 0; i < options.settings.size(); ++i) {
    const std::shared_ptr<const interventions::Setting>& setting = options.settings[i].attention;
    engine::GenerationRequest request{.id = call->metadata().request_id,
                                      .caller = call->metadata().caller,
                                      .prompt = prompts.own,
                                      .sampling = options.sampling.params,
                                      .intervention = setting->intervention(),
                                      .contrast = prompts.contrasts[i],
                                      .map_layers = setting->map_layers(),
                                      .max_map_bytes = model.services.max_map_bytes,
                                      .deadline = call->metadata().deadline,
                                      .sink_may_stop = !options.sampling.stop.empty()};
    request.sampling.max_tokens =
        std::min({request.sampling.max_tokens, context - prompts.own->size(), max_tokens});
    if (seed_per_setting) request.sampling.seed += i;
    GenerationSpec spec{.setting = static_cast<uint32_t>(i),
                        .prompt = prompts.own,
                        .stop = options.sampling.stop,
                        .intervention = setting,
                        .contrast = options.settings[i].contrast,
                        .sibling_prompt = request.contrast == nullptr ? nullptr : request.contrast->prompt,
                        .logprobs = options.sampling.params.logprobs >= 0,
                        .image_time = image_time,
                        .images_kept = images_kept};
    group.push_back(
        {std::move(request), std::make_shared<Generation>(model.services, call, std::move(spec))});
  }
  return group;
}

}  // namespace

ChatService::ChatService(const ChatOptions& options)
    : options_(options),
      image_cache_(options.image_cache),
      workers_(options.worker_threads),
      url_images_(options.url_images) {}

void ChatService::Serve(ModelRef model) {
  absl::MutexLock lock(&mu_);
  model_ = std::move(model);
}

void ChatService::Refuse(std::string reason) {
  absl::MutexLock lock(&mu_);
  model_.reset();
  refusal_ = std::move(reason);
}

absl::StatusOr<ChatService::ModelRef> ChatService::model() const {
  absl::MutexLock lock(&mu_);
  if (model_ == nullptr) return absl::UnavailableError(refusal_);
  return model_;
}

absl::StatusOr<ChatService::ModelRef> ChatService::Admit(const CallMetadata& metadata) const {
  ASSIGN_OR_RETURN(ModelRef served, model());
  RETURN_IF_ERROR(served->engine->Reserve(metadata.caller, metadata.deadline).status());
  return served;
}

template <typename Request>
void ChatService::Answer(const ModelRef& model, const std::shared_ptr<Call>& call,
                         ReadRequest<Request> read) {
  Answer(model, call,
         [read = std::move(read)](const RequestLimits& limits) mutable -> absl::StatusOr<ChatRequest> {
           auto request = std::make_shared<Request>();
           RETURN_IF_ERROR(std::move(read)(limits, *request));
           read = nullptr;  // with the message's bytes
           ASSIGN_OR_RETURN(ChatRequest chat, ReadChat(*request));
           chat.source = std::move(request);
           return chat;
         });
}

void ChatService::Answer(const ModelRef& model, const std::shared_ptr<Call>& call, ReadChatRequest read) {
  const absl::Status status =
      Enqueue(model, call,
              [this, model, call, read = std::move(read)](engine::Engine::Place place,
                                                          Mode& mode) mutable -> absl::Status {
                ASSIGN_OR_RETURN(ChatRequest chat, std::move(read)(LimitsOf(model->description)));
                read = nullptr;  // with the request's bytes
                if (HasUrls(chat)) return FetchAndSubmit(model, call, std::move(chat), std::move(place));
                return Submit(model, call, chat, std::move(place), mode);
              });
  if (!status.ok()) Refuse(*call, status);
}

template void ChatService::Answer(const ModelRef&, const std::shared_ptr<Call>&,
                                  ReadRequest<v1::AnswerRequest>);
template void ChatService::Answer(const ModelRef&, const std::shared_ptr<Call>&,
                                  ReadRequest<v1::CaptionRequest>);
template void ChatService::Answer(const ModelRef&, const std::shared_ptr<Call>&,
                                  ReadRequest<v1::GenerateRequest>);
template void ChatService::Answer(const ModelRef&, const std::shared_ptr<Call>&,
                                  ReadRequest<v1::CompareRequest>);

absl::Status ChatService::Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call, Work work) {
  ASSIGN_OR_RETURN(engine::Engine::Place place,
                   model->engine->Reserve(call->metadata().caller, call->metadata().deadline));
  const bool accepted = workers_.Submit(call->metadata().caller, [this, call, model, work = std::move(work),
                                                                  place = std::move(place)]() mutable {
    Mode mode = Mode::kOff;
    absl::Status status = StillWanted(*call, *options_.clock);
    if (status.ok()) {
      model->engine->BeginPreparing(place);
      status = work(std::move(place), mode);
    } else {
      model->engine->GiveUp(std::move(place));
    }
    if (!status.ok()) Refuse(*call, status, mode);
  });
  return accepted ? absl::OkStatus() : engine::ShuttingDownError();
}

void ChatService::Refuse(Call& call, const absl::Status& status, Mode mode) {
  const absl::Status departure = call.stream().departure();  // the only status its caller can still get
  AccountRefusal(*options_.metrics, *options_.logger, call, mode, departure.ok() ? status : departure,
                 options_.clock->Now());
  call.Fail(status);
}

absl::Status ChatService::FetchAndSubmit(const ModelRef& model, const std::shared_ptr<Call>& call,
                                         ChatRequest chat, engine::Engine::Place place) {
  place.reset();  // others may have it while the pictures are on their way
  RETURN_IF_ERROR(ReadOptions(*model, chat).status());
  RETURN_IF_ERROR(url_images_.Check(chat));
  return url_images_.Submit(call->metadata().caller, [this, model, call, chat = std::move(chat)]() mutable {
    absl::Status status = url_images_.Fetch(
        static_cast<int64_t>(model->description.limits().max_image_bytes()),
        [&] { return StillWanted(*call, *options_.clock); }, chat);
    if (status.ok()) {
      status = Enqueue(model, call,
                       [this, model, call, chat = std::move(chat)](engine::Engine::Place next, Mode& mode) {
                         return Submit(model, call, chat, std::move(next), mode);
                       });
    }
    if (!status.ok()) Refuse(*call, status);
  });
}

absl::Status ChatService::Submit(const ModelRef& model, const std::shared_ptr<Call>& call,
                                 const ChatRequest& chat, engine::Engine::Place place, Mode& mode) {
  // 1. What costs nothing to check.
  ASSIGN_OR_RETURN(const RequestOptions options, ReadOptions(*model, chat));
  mode = options.settings.front().attention->mode();
  const text::PromptBuilder& prompts = model->preprocessor->prompt_builder();
  const auto context = static_cast<int>(model->description.decoder().context());
  RETURN_IF_ERROR(InRequest(chat, prompts.CheckText(chat.messages, chat.pictures.size(), context)));

  // 2. Pictures and prompt.
  const absl::Time start = model->services.clock->Now();
  ASSIGN_OR_RETURN(
      const CallImages pictures,
      ProcessCallImages(*model->preprocessor, chat, call->metadata().caller, model->description.limits(),
                        {options_.image_memory, &image_cache_, options_.metrics},
                        [&] { return StillWanted(*call, *options_.clock); }));
  std::optional<absl::Duration> image_time;
  if (!pictures.images.empty()) image_time = model->services.clock->Now() - start;
  ASSIGN_OR_RETURN(const Prompts built, BuildPrompts(*model, chat, options, pictures));

  // 3. To the engine, all settings or none.
  std::vector<engine::Submission> group =
      MakeGroup(*model, call, options, chat.seed_per_setting, built, image_time, pictures.kept);
  call->Expect(static_cast<int>(group.size()));
  ASSIGN_OR_RETURN(std::vector<engine::SequenceId> ids,
                   model->engine->Submit(std::move(group), std::move(place)));
  call->CancelWithCall(*model->engine, std::move(ids));
  return absl::OkStatus();
}

}  // namespace varserve::chat
