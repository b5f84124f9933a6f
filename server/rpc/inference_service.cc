#include "server/rpc/inference_service.h"

#include <cstring>
#include <random>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/preprocess/request_images.h"
#include "server/rpc/message_reactor.h"
#include "server/rpc/request_parser.h"
#include "server/rpc/status_mapping.h"

namespace varserve::rpc {
namespace {

constexpr int64_t kMaxEmptyRequestBytes = 4096;  // whatever a later version may put into one

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

absl::StatusOr<std::vector<std::shared_ptr<const ProcessedImage>>> ProcessPictures(const ServingModel& model,
                                                                                   const Call& call,
                                                                                   const ChatRequest& chat,
                                                                                   ByteBudget& memory) {
  const v1::Model::Limits& limits = model.description.limits();
  if (chat.pictures.size() > limits.max_images()) {
    return absl::InvalidArgumentError(absl::StrCat(chat.pictures[limits.max_images()].field, ": at most ",
                                                   limits.max_images(),
                                                   " images per request (Limits.max_images)"));
  }
  std::vector<preprocess::EncodedImage> images;
  for (const ChatRequest::Picture& picture : chat.pictures) images.push_back({picture.field, *picture.bytes});
  const preprocess::ImageLimits image_limits{.max_bytes = limits.max_image_bytes(),
                                             .max_pixels = static_cast<int64_t>(limits.max_image_pixels())};
  return preprocess::ProcessImages(*model.preprocessor, images, image_limits, memory,
                                   [&] { return StillWanted(call, *model.services.clock); });
}

}  // namespace

InferenceService::InferenceService(const ServiceOptions& options)
    : options_(options),
      open_calls_({.write_timeout = options.write_timeout,
                   .receive = {.bytes = options.receive_memory, .timeout = options.read_timeout},
                   .clock = options.clock}),
      workers_(options.worker_threads) {
  AddStreamingMethod<v1::AnswerRequest>("/varserve.v1.VisionLanguage/Answer");
  AddStreamingMethod<v1::CaptionRequest>("/varserve.v1.VisionLanguage/Caption");
  AddStreamingMethod<v1::GenerateRequest>("/varserve.v1.VisionLanguage/Generate");
  AddStreamingMethod<v1::CompareRequest>("/varserve.v1.VisionLanguage/Compare");
  AddRawMethod("/varserve.v1.VisionLanguage/GetModel", [this](auto* context) { return GetModel(context); });
}

template <typename Request>
void InferenceService::AddStreamingMethod(const char* path) {
  const char* method = std::strrchr(path, '/') + 1;
  AddRawMethod(path, [this, method](auto* context) { return this->Start<Request>(method, context); });
}

void InferenceService::Serve(std::shared_ptr<const ServingModel> model) {
  absl::MutexLock lock(&mu_);
  model_ = std::move(model);
}

void InferenceService::Refuse(std::string reason) {
  absl::MutexLock lock(&mu_);
  model_.reset();
  refusal_ = std::move(reason);
}

absl::StatusOr<InferenceService::ModelRef> InferenceService::Admit(const grpc::CallbackServerContext& context,
                                                                   CallMetadata& metadata) const {
  if (options_.tokens != nullptr) {
    ASSIGN_OR_RETURN(metadata.caller, options_.tokens->Check(context.client_metadata()));
  }
  RETURN_IF_ERROR(metadata.status);
  absl::MutexLock lock(&mu_);
  if (model_ == nullptr) return absl::UnavailableError(refusal_);
  return model_;
}

CallReactor::Context InferenceService::ContextOf(grpc::CallbackServerContext* context,
                                                 const CallMetadata& metadata) {
  return {.call = context,
          .open_calls = &open_calls_,
          .caller = metadata.caller,
          .arrival = metadata.arrival,
          .deadline = metadata.deadline,
          .metadata = ReplyMetadata(metadata)};
}

template <typename Request>
InferenceService::Reactor* InferenceService::Start(const char* method, grpc::CallbackServerContext* context) {
  constexpr bool kCompare = std::is_same_v<Request, v1::CompareRequest>;
  CallMetadata metadata = ReadMetadata(*context, *options_.clock);
  absl::StatusOr<ModelRef> model = Admit(*context, metadata);
  // Refused here, a request costs nothing: not a byte of it is read. Its place is taken once it is there, so
  // that nobody holds one by sending slowly.
  if (model.ok()) {
    const auto place = (*model)->engine->Reserve(metadata.caller, metadata.deadline);
    if (!place.ok()) model = place.status();
  }
  const auto stream =
      StreamReactor::Create(kCompare ? StreamReactor::Framing::kCompare : StreamReactor::Framing::kGenerate,
                            ContextOf(context, metadata));
  const auto call = std::make_shared<Call>(method, std::move(metadata), stream);
  if (!model.ok()) {
    Refuse(*call, interventions::Mode::kOff, model.status());
    return stream.get();
  }
  stream->ReadOne(options_.max_message_bytes,
                  [this, call, model = *std::move(model)](absl::StatusOr<CallReactor::Message> message) {
                    const absl::Status status =
                        message.ok() ? Enqueue<Request>(model, call, *std::move(message)) : message.status();
                    if (!status.ok()) Refuse(*call, interventions::Mode::kOff, status);
                  });
  return stream.get();
}

template <typename Request>
absl::Status InferenceService::Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call,
                                       CallReactor::Message message) {
  ASSIGN_OR_RETURN(engine::Engine::Place place,
                   model->engine->Reserve(call->metadata().caller, call->metadata().deadline));
  const bool accepted =
      workers_.Submit(call->metadata().caller,
                      [this, call, model, message = std::move(message), place = std::move(place)]() mutable {
                        interventions::Mode mode = interventions::Mode::kOff;
                        const absl::Status status = [&]() -> absl::Status {
                          if (const absl::Status wanted = StillWanted(*call, *options_.clock); !wanted.ok()) {
                            model->engine->GiveUp(std::move(place));
                            return wanted;
                          }
                          model->engine->BeginPreparing(place);
                          Request request;
                          RETURN_IF_ERROR(ParseRequest(message.bytes, LimitsOf(model->description), request));
                          message = {};
                          ASSIGN_OR_RETURN(const ChatRequest chat, ReadChat(request));
                          return Submit(model, call, chat, std::move(place), mode);
                        }();
                        if (!status.ok()) Refuse(*call, mode, status);
                      });
  return accepted ? absl::OkStatus()
                  : absl::UnavailableError("server: is shutting down; try another replica");
}

void InferenceService::Refuse(Call& call, interventions::Mode mode, const absl::Status& status) {
  const absl::Status departure = call.stream().departure();  // its caller will not hear of anything else
  AccountRefusal(*options_.metrics, *options_.logger, call, mode, departure.ok() ? status : departure,
                 options_.clock->Now());
  call.Fail(status);
}

absl::Status InferenceService::Submit(const ModelRef& model, const std::shared_ptr<Call>& call,
                                      const ChatRequest& chat, engine::Engine::Place place,
                                      interventions::Mode& mode) {
  // 1. What costs nothing to check.
  const v1::Model::Decoder& decoder = model->description.decoder();
  const absl::StatusOr<SamplingRequest> sampling =
      ReadGenerateOptions(*chat.options, static_cast<int>(decoder.vocabulary()), RandomSeed());
  if (!sampling.ok()) return Prefixed(absl::StrCat(chat.options_field, "."), sampling.status());
  std::vector<std::shared_ptr<const interventions::Setting>> settings;
  for (const auto& [field, options] : chat.settings) {
    auto setting = interventions::ReadOptions(*options, model->intervention_defaults);
    if (!setting.ok()) return Prefixed(absl::StrCat(field, "."), setting.status());
    settings.push_back(*std::move(setting));
  }
  mode = settings.front()->mode();

  const preprocess::PromptBuilder& prompts = model->preprocessor->prompt_builder();
  const int context = static_cast<int>(decoder.context());
  RETURN_IF_ERROR(InRequest(chat, prompts.CheckText(chat.messages, chat.pictures.size(), context)));

  // 2. Pictures and prompt.
  const absl::Time start = model->services.clock->Now();
  ASSIGN_OR_RETURN(const auto images, ProcessPictures(*model, *call, chat, *options_.image_memory));
  std::optional<absl::Duration> image_time;
  if (!images.empty()) image_time = model->services.clock->Now() - start;
  absl::StatusOr<Prompt> built = prompts.Build(chat.messages, images, context);
  if (!built.ok()) return InRequest(chat, built.status());
  const auto prompt = std::make_shared<const Prompt>(*std::move(built));

  // 3. To the engine, all settings or none.
  const auto max_tokens = static_cast<int>(model->description.limits().max_tokens());
  std::vector<engine::Submission> group;
  for (size_t i = 0; i < settings.size(); ++i) {
    engine::GenerationRequest request{.id = call->metadata().request_id,
                                      .caller = call->metadata().caller,
                                      .prompt = prompt,
                                      .sampling = sampling->params,
                                      .intervention = settings[i]->intervention(),
                                      .map_layers = settings[i]->map_layers(),
                                      .max_map_bytes = model->services.max_map_bytes,
                                      .deadline = call->metadata().deadline};
    request.sampling.max_tokens =
        std::min({request.sampling.max_tokens, context - prompt->size(), max_tokens});
    GenerationSpec spec{.setting = static_cast<uint32_t>(i),
                        .prompt = prompt,
                        .stop = sampling->stop,
                        .intervention = settings[i],
                        .logprobs = sampling->params.logprobs >= 0,
                        .image_time = image_time};
    group.push_back(
        {std::move(request), std::make_shared<Generation>(model->services, call, std::move(spec))});
  }
  call->Expect(static_cast<int>(group.size()));
  ASSIGN_OR_RETURN(std::vector<engine::SequenceId> ids,
                   model->engine->Submit(std::move(group), std::move(place)));
  call->CancelWithCall(*model->engine, std::move(ids));
  return absl::OkStatus();
}

InferenceService::Reactor* InferenceService::GetModel(grpc::CallbackServerContext* context) {
  CallMetadata metadata = ReadMetadata(*context, *options_.clock);
  const absl::StatusOr<ModelRef> model = Admit(*context, metadata);
  const auto call = MessageReactor::Create(ContextOf(context, metadata));
  const auto end = [this, call](const absl::Status& status) {
    options_.metrics->OnRequestEnd({.method = "GetModel", .code = status.code()});
    call->Abort(status);
  };
  if (!model.ok()) {
    end(model.status());
    return call.get();
  }
  call->ReadOne(kMaxEmptyRequestBytes,
                [this, call, end, model = *model](const absl::StatusOr<CallReactor::Message>& message) {
                  if (!message.ok()) return end(message.status());
                  options_.metrics->OnRequestEnd({.method = "GetModel", .code = absl::StatusCode::kOk});
                  call->Reply(model->description);
                });
  return call.get();
}

}  // namespace varserve::rpc
