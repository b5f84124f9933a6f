// A client of the API in proto/varserve/v1: blocking calls whose responses come to a callback.
//
// Thread-safe: any number of threads may call at the same time over the one connection. A call blocks its
// thread until it has ended; callbacks run on that thread. Errors carry the server's code and message
// (RetryDelay of rpc_status.h says when to retry); CANCELLED means that the callback or the Cancellation
// ended the call, what the server cancels is ABORTED. Nothing is tried twice unless CallOptions say so, but
// for this: an image that the server said it keeps is named by its digest instead of sent again, and sent
// after all if the server does not have it any more.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cancellation.h"
#include "client/channel.h"
#include "client/kept_images.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::client {

struct CallOptions {
  absl::Duration timeout = absl::InfiniteDuration();  // of the call with all its tries
  std::string request_id;                             // in the server's logs; empty: the server makes one
  // How often a call that was refused before its first response is tried again, where that can help, see
  // retry.h.
  int max_retries = 0;
  Cancellation* cancellation =
      nullptr;  // null: only the callback and the timeout end the call early; must outlive it
};

// Takes one response; false ends the call with CANCELLED.
using OnResponse = absl::FunctionRef<bool(const v1::GenerateResponse&)>;
using OnCompareResponse = absl::FunctionRef<bool(const v1::CompareResponse&)>;

class InferenceClient {
 public:
  // INVALID_ARGUMENT naming the option. Whether there is a server shows with the first call.
  static absl::StatusOr<std::unique_ptr<InferenceClient>> Connect(const ConnectOptions& options);

  absl::StatusOr<v1::Finished> Answer(const v1::AnswerRequest& request, const CallOptions& options,
                                      OnResponse on_response);
  absl::StatusOr<v1::Finished> Caption(const v1::CaptionRequest& request, const CallOptions& options,
                                       OnResponse on_response);
  absl::StatusOr<v1::Finished> Generate(const v1::GenerateRequest& request, const CallOptions& options,
                                        OnResponse on_response);
  // One Finished for each setting, in order.
  absl::StatusOr<std::vector<v1::Finished>> Compare(const v1::CompareRequest& request,
                                                    const CallOptions& options,
                                                    OnCompareResponse on_response);
  absl::StatusOr<v1::Model> GetModel(const CallOptions& options);

  // "" asks whether the process lives, kService whether it takes requests. NOT_FOUND for a name the server
  // does not know.
  static constexpr char kService[] = "varserve.v1.VisionLanguage";
  absl::StatusOr<grpc::health::v1::HealthCheckResponse> CheckHealth(absl::string_view service,
                                                                    const CallOptions& options);

 private:
  struct Attempt;  // how one try of a call went
  template <typename Try>
  absl::Status Call(const CallOptions& options, const std::string& image_digest, Try attempt);
  template <typename Request, typename Response, typename Open>
  absl::Status Stream(const Request& request, const CallOptions& options, Open open,
                      absl::FunctionRef<bool(const Response&)> on_response);
  template <typename Request, typename Open>
  absl::StatusOr<v1::Finished> StreamOne(const Request& request, const CallOptions& options, Open open,
                                         OnResponse on_response);

  InferenceClient(const std::shared_ptr<grpc::Channel>& channel, std::string token);

  const std::string token_;
  const std::unique_ptr<v1::VisionLanguage::Stub> stub_;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health_;
  KeptImages kept_images_;
};

}  // namespace varserve::client
