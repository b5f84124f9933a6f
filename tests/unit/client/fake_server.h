// A VisionLanguage server in this process whose streams a test writes down beforehand. Thread-safe.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/inference_client.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::client {

class FakeServer {
 public:
  // What one call gets.
  struct Script {
    std::vector<v1::GenerateResponse> responses;
    std::vector<v1::CompareResponse> compare_responses;
    grpc::Status status;
    bool hang = false;  // after the responses, until the call is cancelled
  };

  explicit FakeServer(
      const std::shared_ptr<grpc::ServerCredentials>& credentials = nullptr);  // null: plain text
  ~FakeServer();

  // host:port
  std::string address() const;
  std::unique_ptr<InferenceClient> Connect(const std::string& token = "") const;

  // The next call that has none yet gets this script; calls without any are UNIMPLEMENTED.
  void Expect(Script script) ABSL_LOCKS_EXCLUDED(mu_);
  void SetModel(const v1::Model& model) ABSL_LOCKS_EXCLUDED(mu_);
  void SetServing(const std::string& service, bool serving);

  // Of the calls so far, in order.
  std::vector<std::map<std::string, std::string>> metadata() const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<v1::AnswerRequest> answer_requests() const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<v1::CompareRequest> compare_requests() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Service;
  Script Take(const grpc::ServerContext& context) ABSL_LOCKS_EXCLUDED(mu_);

  mutable absl::Mutex mu_;
  std::deque<Script> scripts_ ABSL_GUARDED_BY(mu_);
  v1::Model model_ ABSL_GUARDED_BY(mu_);
  std::vector<std::map<std::string, std::string>> metadata_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::AnswerRequest> answer_requests_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::CompareRequest> compare_requests_ ABSL_GUARDED_BY(mu_);

  int port_ = 0;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
};

v1::GenerateResponse Started(const std::string& request_id);
// One token.
v1::GenerateResponse Delta(const std::string& text, uint32_t token_id);
v1::GenerateResponse Finished(const std::string& text);
v1::CompareResponse OfSetting(uint32_t setting, const v1::GenerateResponse& response);

}  // namespace varserve::client
