#include "server/rpc/inference_service.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/retry_delay.h"
#include "server/preprocess/request_images.h"
#include "server/rpc/request_parser.h"
#include "server/rpc/status_mapping.h"

namespace varserve::rpc {
namespace {

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
  if (call.stream().cancelled()) return absl::CancelledError("request: was cancelled");
  return absl::OkStatus();
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
      watchdog_(options.write_timeout),
      workers_(options.worker_threads, options.max_preprocessing_bytes) {}

void InferenceService::Serve(std::shared_ptr<const ServingModel> model) {
  absl::MutexLock lock(&mu_);
  model_ = std::move(model);
}

void InferenceService::Refuse(std::string reason) {
  absl::MutexLock lock(&mu_);
  model_.reset();
  refusal_ = std::move(reason);
}

absl::StatusOr<InferenceService::ModelRef> InferenceService::Admit(
    const grpc::CallbackServerContext& context) const {
  if (options_.tokens != nullptr) RETURN_IF_ERROR(options_.tokens->Check(context.client_metadata()));
  absl::MutexLock lock(&mu_);
  if (model_ == nullptr) return absl::UnavailableError(refusal_);
  return model_;
}

InferenceService::Stream* InferenceService::Answer(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request) {
  return Start<v1::AnswerRequest>("Answer", context, request);
}
InferenceService::Stream* InferenceService::Caption(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) {
  return Start<v1::CaptionRequest>("Caption", context, request);
}
InferenceService::Stream* InferenceService::Generate(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request) {
  return Start<v1::GenerateRequest>("Generate", context, request);
}
InferenceService::Stream* InferenceService::Compare(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) {
  return Start<v1::CompareRequest>("Compare", context, request);
}

template <typename Request>
InferenceService::Stream* InferenceService::Start(const char* method, grpc::CallbackServerContext* context,
                                                  const grpc::ByteBuffer* request_bytes) {
  constexpr bool kCompare = std::is_same_v<Request, v1::CompareRequest>;
  CallMetadata metadata = ReadMetadata(*context, *options_.clock);
  const std::shared_ptr<StreamReactor> stream =
      StreamReactor::Create(kCompare ? StreamReactor::Framing::kCompare : StreamReactor::Framing::kGenerate,
                            context, ReplyMetadata(metadata));
  const auto call = std::make_shared<Call>(method, std::move(metadata), stream);
  absl::StatusOr<ModelRef> model = Admit(*context);
  if (model.ok() && !call->metadata().status.ok()) model = call->metadata().status;
  if (!model.ok()) {
    Refuse(*call, engine::VarMode::kOff, model.status());
    return stream.get();
  }
  watchdog_.Watch(stream);
  if (const absl::Status status = Enqueue<Request>(*model, call, request_bytes); !status.ok()) {
    Refuse(*call, engine::VarMode::kOff, status);
  }
  return stream.get();
}

template <typename Request>
absl::Status InferenceService::Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call,
                                       const grpc::ByteBuffer* request_bytes) {
  // Refused here, a request costs nothing but its transfer: no picture is decoded.
  ASSIGN_OR_RETURN(engine::Engine::Place place, model->engine->Reserve(call->metadata().deadline));
  // gRPC keeps its request until the call ends; the pictures in it are not needed that long.
  grpc::ByteBuffer bytes;
  bytes.Swap(const_cast<grpc::ByteBuffer*>(request_bytes));
  const auto size = static_cast<int64_t>(bytes.Length());
  const bool accepted = workers_.Submit(
      size, [this, call, model, bytes = std::move(bytes), place = std::move(place)]() mutable {
        engine::VarMode mode = engine::VarMode::kOff;
        const absl::Status status = [&]() -> absl::Status {
          RETURN_IF_ERROR(StillWanted(*call, *options_.clock));
          Request request;
          RETURN_IF_ERROR(ParseRequest(bytes, request));
          bytes.Clear();
          ASSIGN_OR_RETURN(const ChatRequest chat, ReadChat(request));
          return Submit(model, call, chat, std::move(place), mode);
        }();
        if (status.ok()) return;
        Refuse(*call, mode, status);
      });
  if (accepted) return absl::OkStatus();
  return engine::WithRetryDelay(
      absl::ResourceExhaustedError("queue: too many bytes of requests wait to be read; try again later"),
      engine::kDefaultRetryDelay);
}

void InferenceService::Refuse(Call& call, engine::VarMode mode, const absl::Status& status) {
  AccountRefusal(*options_.metrics, *options_.logger, call, mode, status, options_.clock->Now());
  call.Fail(status);
}

absl::Status InferenceService::Submit(const ModelRef& model, const std::shared_ptr<Call>& call,
                                      const ChatRequest& chat, engine::Engine::Place place,
                                      engine::VarMode& mode) {
  // 1. What costs nothing to check.
  const v1::Model::Decoder& decoder = model->description.decoder();
  ASSIGN_OR_RETURN(const SamplingRequest sampling,
                   ReadGenerateOptions(*chat.options, static_cast<int>(decoder.vocabulary()), RandomSeed()));
  std::vector<VarRequest> settings;
  for (const v1::VarOptions* options : chat.settings) {
    ASSIGN_OR_RETURN(VarRequest setting, ReadVarOptions(*options, model->var_defaults));
    settings.push_back(std::move(setting));
  }
  mode = settings.front().settings.mode;

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
  std::vector<engine::Submission> group;
  for (size_t i = 0; i < settings.size(); ++i) {
    engine::GenerationRequest request{.id = call->metadata().request_id,
                                      .prompt = prompt,
                                      .sampling = sampling.params,
                                      .var = settings[i].settings,
                                      .map_layers = settings[i].map_layers,
                                      .deadline = call->metadata().deadline};
    request.sampling.max_tokens = std::min(request.sampling.max_tokens, context - prompt->size());
    GenerationSpec spec{.setting = static_cast<uint32_t>(i),
                        .prompt = prompt,
                        .stop = sampling.stop,
                        .effective_var = settings[i].effective,
                        .mode = settings[i].settings.mode,
                        .preset = settings[i].preset,
                        .logprobs = sampling.params.logprobs >= 0,
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

grpc::ServerUnaryReactor* InferenceService::GetModel(grpc::CallbackServerContext* context,
                                                     const v1::GetModelRequest* /*request*/,
                                                     v1::Model* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<ModelRef> model = Admit(*context);
  if (model.ok()) *response = (*model)->description;
  options_.metrics->OnRequestEnd({.method = "GetModel", .code = model.status().code()});
  reactor->Finish(ToGrpcStatus(model.status()));
  return reactor;
}

}  // namespace varserve::rpc
