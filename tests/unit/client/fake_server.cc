#include "tests/unit/client/fake_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace varserve::client {

class FakeServer::Service : public v1::VisionLanguage::Service {
 public:
  explicit Service(FakeServer& server) : server_(server) {}

  grpc::Status Answer(grpc::ServerContext* context, const v1::AnswerRequest* request,
                      grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    {
      absl::MutexLock lock(&server_.mu_);
      server_.answer_requests_.push_back(*request);
    }
    return Play(*context, *writer);
  }
  grpc::Status Caption(grpc::ServerContext* context, const v1::CaptionRequest* /*request*/,
                       grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    return Play(*context, *writer);
  }
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* /*request*/,
                        grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    return Play(*context, *writer);
  }
  grpc::Status Compare(grpc::ServerContext* context, const v1::CompareRequest* request,
                       grpc::ServerWriter<v1::CompareResponse>* writer) override {
    {
      absl::MutexLock lock(&server_.mu_);
      server_.compare_requests_.push_back(*request);
    }
    const Script script = server_.Take(*context);
    for (const v1::CompareResponse& response : script.compare_responses) writer->Write(response);
    return script.status;
  }
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* /*request*/,
                        v1::Model* response) override {
    const Script script = server_.Take(*context);
    absl::MutexLock lock(&server_.mu_);
    *response = server_.model_;
    return script.status;
  }

 private:
  grpc::Status Play(grpc::ServerContext& context, grpc::ServerWriter<v1::GenerateResponse>& writer) {
    const Script script = server_.Take(context);
    for (const v1::GenerateResponse& response : script.responses) writer.Write(response);
    while (script.hang && !context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return script.status;
  }

  FakeServer& server_;
};

FakeServer::FakeServer(const std::shared_ptr<grpc::ServerCredentials>& credentials)
    : service_(std::make_unique<Service>(*this)) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0",
                           credentials != nullptr ? credentials : grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
}

FakeServer::~FakeServer() { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::unique_ptr<InferenceClient> FakeServer::Connect(const std::string& token) const {
  auto client = InferenceClient::Connect({.address = address(), .token = token});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

void FakeServer::Expect(Script script) {
  absl::MutexLock lock(&mu_);
  scripts_.push_back(std::move(script));
}

void FakeServer::SetModel(const v1::Model& model) {
  absl::MutexLock lock(&mu_);
  model_ = model;
}

void FakeServer::SetServing(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

std::vector<std::map<std::string, std::string>> FakeServer::metadata() const {
  absl::MutexLock lock(&mu_);
  return metadata_;
}

std::vector<v1::AnswerRequest> FakeServer::answer_requests() const {
  absl::MutexLock lock(&mu_);
  return answer_requests_;
}

std::vector<v1::CompareRequest> FakeServer::compare_requests() const {
  absl::MutexLock lock(&mu_);
  return compare_requests_;
}

FakeServer::Script FakeServer::Take(const grpc::ServerContext& context) {
  absl::MutexLock lock(&mu_);
  std::map<std::string, std::string>& metadata = metadata_.emplace_back();
  for (const auto& [key, value] : context.client_metadata()) {
    metadata[std::string(key.data(), key.size())] = std::string(value.data(), value.size());
  }
  if (scripts_.empty())
    return {.status = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "the test has no script")};
  Script script = std::move(scripts_.front());
  scripts_.pop_front();
  return script;
}

v1::GenerateResponse Started(const std::string& request_id) {
  v1::GenerateResponse response;
  response.mutable_started()->set_request_id(request_id);
  return response;
}

v1::GenerateResponse Delta(const std::string& text, uint32_t token_id) {
  v1::GenerateResponse response;
  response.mutable_delta()->set_text(text);
  response.mutable_delta()->add_token_ids(token_id);
  return response;
}

v1::GenerateResponse Finished(const std::string& text) {
  v1::GenerateResponse response;
  response.mutable_finished()->set_text(text);
  response.mutable_finished()->set_finish_reason(v1::FINISH_REASON_STOP);
  return response;
}

v1::CompareResponse OfSetting(uint32_t setting, const v1::GenerateResponse& response) {
  v1::CompareResponse result;
  result.set_setting(setting);
  *result.mutable_response() = response;
  return result;
}

}  // namespace varserve::client
