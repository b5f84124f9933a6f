#include "server/grpc/health_service.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <utility>

#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "gtest/gtest.h"
#include "server/grpc/grpc_server.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/http2_client.h"

namespace varserve::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kService[] = "varserve.v1.VisionLanguage";

// A server without a model.
class HealthServiceTest : public ::testing::Test {
 protected:
  HealthServiceTest() {
    service_ = std::make_unique<InferenceService>(
        ServiceOptions{.open_calls = &open_calls_, .metrics = &metrics_, .clock = &clock_}, &chat_);
    server_ = *GrpcServer::Start({.listen = "127.0.0.1:0"}, service_.get(), logger_.get());
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()),
                                   grpc::InsecureChannelCredentials());
    health_ = grpc::health::v1::Health::NewStub(channel_);
  }
  grpc::StatusCode Check(const std::string& name, HealthCheckResponse* response) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(name);
    return health_->Check(&context, request, response).error_code();
  }

  testing::FakeClock clock_;
  const std::unique_ptr<telemetry::Logger> logger_ = *telemetry::Logger::Create("text", "error");
  telemetry::Metrics metrics_{"test", "version"};
  transport::OpenCalls open_calls_{{.receive = {.timeout = absl::Seconds(1)}, .clock = &clock_}};
  chat::ChatService chat_{{.metrics = &metrics_, .logger = logger_.get(), .clock = &clock_}};
  std::unique_ptr<InferenceService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

// A watch in progress.
struct Watch {
  Watch(grpc::health::v1::Health::Stub& stub, const std::string& name) {
    HealthCheckRequest request;
    request.set_service(name);
    reader = stub.Watch(&context, request);
  }
  ~Watch() {
    if (reader != nullptr) Finish();
  }
  grpc::StatusCode Finish() {
    context.TryCancel();
    return Rest();
  }
  // Of a watch that the server ends.
  grpc::StatusCode Rest() {
    HealthCheckResponse response;
    while (reader->Read(&response)) {
    }
    return std::exchange(reader, nullptr)->Finish().error_code();
  }
  HealthCheckResponse::ServingStatus Next() {
    HealthCheckResponse response;
    EXPECT_TRUE(reader->Read(&response));
    return response.status();
  }
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader;
};

TEST_F(HealthServiceTest, Check) {
  HealthCheckResponse response;
  EXPECT_EQ(Check("", &response), grpc::StatusCode::OK);
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check(kService, &response), grpc::StatusCode::OK);
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  server_->SetHealth(/*live=*/true, /*ready=*/true);
  EXPECT_EQ(Check(kService, &response), grpc::StatusCode::OK);
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check("other", &response), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthServiceTest, WatchSendsChangesOnly) {
  Watch watch(*health_, kService);
  Watch unknown(*health_, "other");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(unknown.Next(), HealthCheckResponse::SERVICE_UNKNOWN);
  server_->SetHealth(true, false);
  server_->SetHealth(true, true);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  server_->SetHealth(true, true);
  server_->SetHealth(false, false);
  EXPECT_EQ(watch.Next(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, AServerWithWatchersEndsAtOnce) {
  Watch watch(*health_, "");
  EXPECT_EQ(watch.Next(), HealthCheckResponse::SERVING);
  server_.reset();
  EXPECT_EQ(watch.Rest(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HealthServiceTest, SoManyMayWatch) {
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 1000; ++i) {
    watches.push_back(std::make_unique<Watch>(*health_, ""));
    EXPECT_EQ(watches.back()->Next(), HealthCheckResponse::SERVING);
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // the other connection has no stream left
  const auto other = grpc::health::v1::Health::NewStub(grpc::CreateCustomChannel(
      "127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials(), arguments));
  EXPECT_EQ(Watch(*other, "").Rest(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  watches.clear();
  grpc::StatusCode code = grpc::StatusCode::RESOURCE_EXHAUSTED;
  while (code == grpc::StatusCode::RESOURCE_EXHAUSTED) {  // until they are gone
    Watch watch(*other, "");
    HealthCheckResponse response;
    watch.reader->Read(&response);
    code = watch.Finish();
  }
  EXPECT_EQ(code, grpc::StatusCode::CANCELLED);
}

// Anybody may call these methods, so their messages are small and come soon.
constexpr const char* kMethods[] = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
                                    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};

TEST_F(HealthServiceTest, RequestsAreSmall) {
  for (const char* path : kMethods) {
    testing::Http2Client large(server_->port());
    const int whole = large.Call(path);
    large.Send(whole, testing::GrpcFrame(std::string(5000, 'x')), /*end=*/true);
    EXPECT_EQ(large.WaitForStatus(whole), grpc::StatusCode::RESOURCE_EXHAUSTED) << path;
    testing::Http2Client larger(server_->port());
    const int part = larger.Call(path);
    larger.Send(part, testing::GrpcFrame(std::string(2 << 20, 'x'), 200 << 20));
    EXPECT_EQ(larger.WaitForStatus(part), grpc::StatusCode::RESOURCE_EXHAUSTED)
        << path << ": the rest never comes";
  }
}

TEST_F(HealthServiceTest, RequestsComeSoon) {
  for (const char* path : kMethods) {
    testing::Http2Client slow(server_->port());
    const int stalled = slow.Call(path);
    slow.Send(stalled, testing::GrpcFrame("half", 100));
    std::optional<int> status;
    while (!status.has_value() && !slow.closed()) {  // the message begins at some time after it was sent
      clock_.Advance(absl::Seconds(1));
      status = slow.WaitForStatus(stalled, std::chrono::milliseconds(50));
    }
    EXPECT_EQ(status, grpc::StatusCode::CANCELLED) << path;
  }
}

class ReflectionTest : public HealthServiceTest {
 protected:
  std::vector<ServerReflectionResponse> Ask(const std::vector<ServerReflectionRequest>& requests) {
    const auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(channel_);
    grpc::ClientContext context;
    const auto stream = stub->ServerReflectionInfo(&context);
    std::vector<ServerReflectionResponse> responses;
    for (const ServerReflectionRequest& request : requests) {
      EXPECT_TRUE(stream->Write(request));
      EXPECT_TRUE(stream->Read(&responses.emplace_back()));
    }
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    return responses;
  }
};

TEST_F(ReflectionTest, TellsWhatThereIsToCall) {
  std::vector<ServerReflectionRequest> requests(5);
  requests[0].set_list_services("");
  requests[1].set_file_containing_symbol("varserve.v1.VisionLanguage.Answer");
  requests[2].set_file_by_filename("varserve/v1/var.proto");
  requests[3].set_file_containing_symbol("varserve.v1.Nothing");
  requests[4].set_all_extension_numbers_of_type("varserve.v1.Image");
  const auto responses = Ask(requests);
  std::vector<std::string> names;
  for (const auto& service : responses[0].list_services_response().service()) names.push_back(service.name());
  EXPECT_THAT(names, ElementsAre("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
                                 "varserve.v1.VisionLanguage"));
  EXPECT_EQ(responses[1].file_descriptor_response().file_descriptor_proto_size(), 3)
      << "with what it imports";
  EXPECT_EQ(responses[2].file_descriptor_response().file_descriptor_proto_size(), 1);
  EXPECT_EQ(responses[3].error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(responses[4].all_extension_numbers_response().base_type_name(), "varserve.v1.Image");
  EXPECT_EQ(responses[1].original_request().file_containing_symbol(), "varserve.v1.VisionLanguage.Answer");
}

// Each method of the API is there.
TEST_F(ReflectionTest, EveryMethodOfTheServicesAnswers) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* name : {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", kService}) {
    const auto* service = pool->FindServiceByName(name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string path = "/" + service->full_name() + "/" + service->method(i)->name();
      testing::Http2Client caller(server_->port());
      const int call = caller.Call(path);
      caller.Send(call, "", /*end=*/true);
      const auto status = caller.WaitForStatus(call);
      EXPECT_TRUE(status.has_value() && status != grpc::StatusCode::UNIMPLEMENTED) << path;
    }
  }
}

}  // namespace
}  // namespace varserve::rpc
