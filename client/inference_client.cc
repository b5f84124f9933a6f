#include "client/inference_client.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/image_digest.h"
#include "client/retry.h"
#include "client/rpc_status.h"

namespace varserve::client {
namespace {

double Random() {
  thread_local std::mt19937 random{std::random_device{}()};
  return std::uniform_real_distribution<>()(random);
}

// gRPC aborts the process on anything else in a header.
absl::Status CheckHeader(absl::string_view option, absl::string_view value) {
  const bool valid = std::all_of(value.begin(), value.end(), [](char c) { return absl::ascii_isprint(c); });
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(option, ": only printable ASCII characters are allowed"));
}

// To protobuf and gRPC a size is an int.
absl::Status CheckSize(const google::protobuf::Message& request) {
  const size_t size = request.ByteSizeLong();
  if (size <= std::numeric_limits<int32_t>::max()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("request: has ", size, " bytes; the limit of gRPC is 2 GiB"));
}

const v1::Started& StartedOf(const v1::GenerateResponse& response) { return response.started(); }
const v1::Started& StartedOf(const v1::CompareResponse& response) { return response.response().started(); }

absl::Status NoFinished() { return absl::InternalError("stream: the server ended it without a result"); }

}  // namespace

struct InferenceClient::Attempt {
  grpc::Status status;
  bool heard = false;    // a response came
  bool stopped = false;  // the callback ended the call
  bool unnamed = false;  // the server lacks an image that was only named; the next try sends it
};

InferenceClient::InferenceClient(const std::shared_ptr<grpc::Channel>& channel, std::string token)
    : token_(std::move(token)),
      stub_(v1::VisionLanguage::NewStub(channel)),
      health_(grpc::health::v1::Health::NewStub(channel)) {}

absl::StatusOr<std::unique_ptr<InferenceClient>> InferenceClient::Connect(const ConnectOptions& options) {
  if (absl::Status status = CheckHeader("token", options.token); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = CreateChannel(options);
  if (!channel.ok()) return channel.status();
  return absl::WrapUnique(new InferenceClient(*channel, options.token));
}

template <typename Try>
absl::Status InferenceClient::Call(const CallOptions& options, const std::string& image_digest, Try attempt) {
  if (absl::Status status = CheckHeader("request_id", options.request_id); !status.ok()) return status;
  const absl::Time deadline = absl::Now() + options.timeout;
  int retries = 0;
  while (true) {
    grpc::ClientContext context;
    if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
    if (!token_.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", token_));
    if (!options.request_id.empty()) context.AddMetadata("x-request-id", options.request_id);
    if (!image_digest.empty()) context.AddMetadata("x-image-digest", image_digest);
    Attempt result;
    {
      const Cancellation::Scope scope(options.cancellation, context);
      result = attempt(context);
    }
    if (result.unnamed) continue;
    if (result.stopped) return absl::CancelledError("the call was stopped by its callback");
    const absl::Status status = FromGrpcStatus(result.status);
    const bool cancelled = options.cancellation != nullptr && options.cancellation->cancelled();
    if (absl::IsCancelled(status) && cancelled) return absl::CancelledError("the call was interrupted");
    if (absl::IsCancelled(status)) {
      return absl::AbortedError(absl::StrCat(result.heard
                                                 ? "the server cancelled the call during the answer, as it "
                                                   "does when nobody reads for its --write_timeout: "
                                                 : "the server cancelled the call: ",
                                             status.message()));
    }
    if (result.heard || retries == options.max_retries) return status;
    const std::optional<absl::Duration> wait = RetryWait(status, retries++, Random());
    if (!wait.has_value() || absl::Now() + *wait >= deadline) return status;
    if (options.cancellation == nullptr) {
      absl::SleepFor(*wait);
    } else if (options.cancellation->WaitFor(*wait)) {
      return absl::CancelledError("the call was cancelled while it waited for its next try");
    }
  }
}

template <typename Request, typename Response, typename Open>
absl::Status InferenceClient::Stream(const Request& request, const CallOptions& options, Open open,
                                     absl::FunctionRef<bool(const Response&)> on_response) {
  if (absl::Status status = CheckSize(request); !status.ok()) return status;
  const std::vector<std::string> digests = DigestsOf(request);
  std::vector<std::string> named = kept_images_.Among(digests);
  Request naming;
  if (!named.empty()) NameImages(named, naming = request);
  return Call(options, ImageDigest(request), [&](grpc::ClientContext& context) {
    Attempt attempt;
    const std::unique_ptr<grpc::ClientReader<Response>> reader =
        open(&context, named.empty() ? request : naming);
    Response response;
    while (reader->Read(&response)) {
      attempt.heard = true;
      if (StartedOf(response).images_kept()) kept_images_.Add(digests);
      if (attempt.stopped || on_response(response)) continue;
      attempt.stopped = true;  // and read on: Finish wants the stream's end
      context.TryCancel();
    }
    attempt.status = reader->Finish();
    if (!named.empty() && attempt.status.error_code() == grpc::StatusCode::NOT_FOUND) {
      kept_images_.Remove(named);
      named.clear();
      attempt.unnamed = true;
    }
    return attempt;
  });
}

template <typename Request, typename Open>
absl::StatusOr<v1::Finished> InferenceClient::StreamOne(const Request& request, const CallOptions& options,
                                                        Open open, OnResponse on_response) {
  std::optional<v1::Finished> finished;
  const absl::Status status = Stream<Request, v1::GenerateResponse>(
      request, options, open, [&](const v1::GenerateResponse& response) {
        if (response.has_finished()) finished = response.finished();
        return on_response(response);
      });
  if (!status.ok()) return status;
  if (!finished.has_value()) return NoFinished();
  return *std::move(finished);
}

absl::StatusOr<v1::Finished> InferenceClient::Answer(const v1::AnswerRequest& request,
                                                     const CallOptions& options, OnResponse on_response) {
  return StreamOne(
      request, options, [this](auto* context, const auto& r) { return stub_->Answer(context, r); },
      on_response);
}

absl::StatusOr<v1::Finished> InferenceClient::Caption(const v1::CaptionRequest& request,
                                                      const CallOptions& options, OnResponse on_response) {
  return StreamOne(
      request, options, [this](auto* context, const auto& r) { return stub_->Caption(context, r); },
      on_response);
}

absl::StatusOr<v1::Finished> InferenceClient::Generate(const v1::GenerateRequest& request,
                                                       const CallOptions& options, OnResponse on_response) {
  return StreamOne(
      request, options, [this](auto* context, const auto& r) { return stub_->Generate(context, r); },
      on_response);
}

absl::StatusOr<std::vector<v1::Finished>> InferenceClient::Compare(const v1::CompareRequest& request,
                                                                   const CallOptions& options,
                                                                   OnCompareResponse on_response) {
  std::vector<std::optional<v1::Finished>> finished(request.settings_size() + request.interventions_size());
  const absl::Status status = Stream<v1::CompareRequest, v1::CompareResponse>(
      request, options, [this](auto* context, const auto& r) { return stub_->Compare(context, r); },
      [&](const v1::CompareResponse& response) {
        if (response.response().has_finished() && response.setting() < finished.size()) {
          finished[response.setting()] = response.response().finished();
        }
        return on_response(response);
      });
  if (!status.ok()) return status;
  std::vector<v1::Finished> result;
  for (std::optional<v1::Finished>& one : finished) {
    if (!one.has_value()) return NoFinished();
    result.push_back(*std::move(one));
  }
  return result;
}

absl::StatusOr<v1::Model> InferenceClient::GetModel(const CallOptions& options) {
  v1::Model model;
  const absl::Status status = Call(options, /*image_digest=*/"", [&](grpc::ClientContext& context) {
    return Attempt{.status = stub_->GetModel(&context, v1::GetModelRequest(), &model)};
  });
  if (!status.ok()) return status;
  return model;
}

absl::StatusOr<grpc::health::v1::HealthCheckResponse> InferenceClient::CheckHealth(
    absl::string_view service, const CallOptions& options) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(std::string(service));
  grpc::health::v1::HealthCheckResponse response;
  const absl::Status status = Call(options, /*image_digest=*/"", [&](grpc::ClientContext& context) {
    return Attempt{.status = health_->Check(&context, request, &response)};
  });
  if (!status.ok()) return status;
  return response;
}

}  // namespace varserve::client
