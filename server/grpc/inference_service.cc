#include "server/grpc/inference_service.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "server/base/status_macros.h"
#include "server/grpc/call_metadata.h"
#include "server/grpc/message_reactor.h"
#include "server/grpc/request_parser.h"
#include "server/grpc/stream_reactor.h"

namespace varserve::rpc {
namespace {

constexpr int64_t kMaxEmptyRequestBytes = 4096;  // a later version may add fields

}  // namespace

InferenceService::InferenceService(const ServiceOptions& options, chat::ChatService* chat)
    : options_(options), chat_(chat) {
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

absl::Status InferenceService::Identify(const grpc::CallbackServerContext& context,
                                        chat::CallMetadata& metadata) const {
  if (options_.tokens != nullptr) {
    ASSIGN_OR_RETURN(metadata.caller, options_.tokens->Check(MetadataValue(context, "authorization")));
  }
  return metadata.status;
}

CallReactor::Context InferenceService::ContextOf(grpc::CallbackServerContext* context,
                                                 const chat::CallMetadata& metadata) {
  return {.call = context,
          .open_calls = options_.open_calls,
          .caller = metadata.caller,
          .arrival = metadata.arrival,
          .deadline = metadata.deadline,
          .metadata = ReplyMetadata(metadata)};
}

template <typename Request>
InferenceService::Reactor* InferenceService::Start(const char* method, grpc::CallbackServerContext* context) {
  constexpr bool kCompare = std::is_same_v<Request, v1::CompareRequest>;
  chat::CallMetadata metadata = ReadMetadata(*context, *options_.clock);
  // A request rejected here costs nothing: none of its bytes are read.
  const absl::Status identified = Identify(*context, metadata);
  absl::StatusOr<ModelRef> model = identified.ok() ? chat_->Admit(metadata) : identified;
  const auto stream =
      StreamReactor::Create(kCompare ? StreamReactor::Framing::kCompare : StreamReactor::Framing::kGenerate,
                            ContextOf(context, metadata), &writer_);
  const auto call = std::make_shared<chat::Call>(method, std::move(metadata), stream);
  if (!model.ok()) {
    chat_->Refuse(*call, model.status());
    return stream.get();
  }
  stream->ReadOne(options_.max_message_bytes, [this, call, model = *std::move(model)](
                                                  absl::StatusOr<CallReactor::Message> message) {
    if (!message.ok()) return chat_->Refuse(*call, message.status());
    chat_->Answer<Request>(
        model, call, [message = *std::move(message)](const chat::RequestLimits& limits, Request& request) {
          return ParseRequest(message.bytes, limits, request);
        });
  });
  return stream.get();
}

InferenceService::Reactor* InferenceService::GetModel(grpc::CallbackServerContext* context) {
  chat::CallMetadata metadata = ReadMetadata(*context, *options_.clock);
  const absl::Status identified = Identify(*context, metadata);
  const absl::StatusOr<ModelRef> model = identified.ok() ? chat_->model() : identified;
  const auto call = MessageReactor::Create(ContextOf(context, metadata));
  const auto end = [this, call](const absl::Status& status) {
    options_.metrics->OnRequestEnd({.transport = "grpc", .method = "GetModel", .code = status.code()});
    call->Abort(status);
  };
  if (!model.ok()) {
    end(model.status());
    return call.get();
  }
  call->ReadOne(kMaxEmptyRequestBytes,
                [this, call, end, model = *model](const absl::StatusOr<CallReactor::Message>& message) {
                  if (!message.ok()) return end(message.status());
                  options_.metrics->OnRequestEnd(
                      {.transport = "grpc", .method = "GetModel", .code = absl::StatusCode::kOk});
                  call->Reply(model->description);
                });
  return call.get();
}

}  // namespace varserve::rpc
