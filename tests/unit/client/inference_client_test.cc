#include "client/inference_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/image_digest.h"
#include "client/rpc_status.h"
#include "google/rpc/retry.pb.h"
#include "tests/unit/client/fake_server.h"

namespace varserve::client {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

v1::AnswerRequest Question() {
  v1::AnswerRequest request;
  request.add_images()->set_data("picture");
  request.set_question("What is it?");
  return request;
}

grpc::Status Busy(absl::Duration retry_delay) {
  google::rpc::RetryInfo retry;
  const int64_t nanoseconds = absl::ToInt64Nanoseconds(retry_delay);
  retry.mutable_retry_delay()->set_seconds(nanoseconds / 1'000'000'000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "queue: full", details.SerializeAsString()};
}

bool GoOn(const v1::GenerateResponse& /*response*/) { return true; }

TEST(InferenceClient, StreamsEveryResponseInOrder) {
  FakeServer server;
  server.Expect({.responses = {Started("id"), Delta("A ", 1), Delta("cat.", 2), Finished("A cat.")}});
  std::string events;
  const auto finished = server.Connect()->Answer(Question(), {}, [&](const v1::GenerateResponse& response) {
    absl::StrAppend(&events, response.event_case(), response.delta().text(), ";");
    return true;
  });
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->text(), "A cat.");
  EXPECT_EQ(events, "1;2A ;2cat.;3;");
  EXPECT_EQ(server.answer_requests()[0].question(), "What is it?");
}

TEST(InferenceClient, SendsWhoAsksAndAboutWhichPicture) {
  FakeServer server;
  server.Expect({.responses = {Finished("")}});
  server.Expect({});
  const auto client = server.Connect("secret");
  ASSERT_TRUE(client->Answer(Question(), {.request_id = "my-id"}, &GoOn).ok());
  ASSERT_TRUE(client->GetModel({}).ok());
  const auto metadata = server.metadata();
  EXPECT_THAT(metadata[0], Contains(Pair("authorization", "Bearer secret")));
  EXPECT_THAT(metadata[0], Contains(Pair("x-request-id", "my-id")));
  EXPECT_THAT(metadata[0], Contains(Pair("x-image-digest", ImageDigest(Question()))));
  EXPECT_THAT(metadata[1], Contains(Pair("authorization", "Bearer secret")));
  EXPECT_THAT(metadata[1], Not(Contains(Key("x-image-digest"))));
  EXPECT_THAT(metadata[1], Not(Contains(Key("x-request-id"))));
}

TEST(InferenceClient, RefusesWhatNoHeaderCanCarry) {
  FakeServer server;
  EXPECT_EQ(InferenceClient::Connect({.address = server.address(), .token = "a\nb"}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const absl::Status status =
      server.Connect()->Answer(Question(), {.request_id = "caf\u00e9"}, &GoOn).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("request_id"));
}

TEST(InferenceClient, ReturnsTheServersStatus) {
  FakeServer server;
  server.Expect({.status = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "question: is empty")});
  const absl::Status status = server.Connect()->Answer(Question(), {}, &GoOn).status();
  EXPECT_EQ(status, absl::InvalidArgumentError("question: is empty"));
}

TEST(InferenceClient, AStreamWithoutResultIsAnError) {
  FakeServer server;
  server.Expect({.responses = {Started("id")}});
  EXPECT_EQ(server.Connect()->Answer(Question(), {}, &GoOn).status().code(), absl::StatusCode::kInternal);
}

TEST(InferenceClient, TheCallbackEndsACall) {
  FakeServer server;
  server.Expect({.responses = {Started("id"), Delta("A", 1), Delta("B", 2)}, .hang = true});
  int responses = 0;
  const auto finished = server.Connect()->Answer(Question(), {}, [&](const v1::GenerateResponse& response) {
    ++responses;
    return !response.has_delta();
  });
  EXPECT_EQ(finished.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(responses, 2);
}

TEST(InferenceClient, AnotherThreadCancelsACall) {
  FakeServer server;
  server.Expect({.responses = {Started("id")}, .hang = true});
  server.Expect({.responses = {Finished("")}});
  const auto client = server.Connect();
  Cancellation cancellation;
  std::thread other;
  const auto finished = client->Answer(Question(), {.cancellation = &cancellation},
                                       [&](const v1::GenerateResponse& /*response*/) {
                                         other = std::thread([&] { cancellation.Cancel(); });
                                         return true;
                                       });
  other.join();
  EXPECT_EQ(finished.status().code(), absl::StatusCode::kCancelled);
  // And all that come after.
  EXPECT_EQ(client->Answer(Question(), {.cancellation = &cancellation}, &GoOn).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_TRUE(client->Answer(Question(), {}, &GoOn).ok());
}

TEST(InferenceClient, TheTimeoutEndsACall) {
  FakeServer server;
  server.Expect({.responses = {Started("id")}, .hang = true});
  EXPECT_EQ(server.Connect()->Answer(Question(), {.timeout = absl::Milliseconds(50)}, &GoOn).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(InferenceClient, DoesNotRetryUnlessTold) {
  FakeServer server;
  server.Expect({.status = Busy(absl::Milliseconds(1))});
  const absl::Status status = server.Connect()->Answer(Question(), {}, &GoOn).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(1));
  EXPECT_EQ(server.metadata().size(), 1);
}

TEST(InferenceClient, RetriesWhenTheServerSays) {
  FakeServer server;
  server.Expect({.status = Busy(absl::Milliseconds(1))});
  server.Expect({.status = Busy(absl::Milliseconds(2))});
  server.Expect({.responses = {Finished("at last")}});
  const auto finished = server.Connect()->Answer(Question(), {.max_retries = 2}, &GoOn);
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->text(), "at last");
}

TEST(InferenceClient, GivesUpAfterTheLastRetry) {
  FakeServer server;
  for (int i = 0; i < 3; ++i) server.Expect({.status = Busy(absl::Milliseconds(1))});
  EXPECT_EQ(server.Connect()->Answer(Question(), {.max_retries = 2}, &GoOn).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server.metadata().size(), 3);
}

TEST(InferenceClient, DoesNotRetryWhatIsWrongOrHasBegun) {
  FakeServer server;
  server.Expect({.status = grpc::Status(grpc::StatusCode::INTERNAL, "broken")});
  server.Expect({.responses = {Started("id")}, .status = Busy(absl::Milliseconds(1))});
  const auto client = server.Connect();
  EXPECT_EQ(client->Answer(Question(), {.max_retries = 3}, &GoOn).status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(client->Answer(Question(), {.max_retries = 3}, &GoOn).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server.metadata().size(), 2);
}

TEST(InferenceClient, DoesNotRetryWhatCanNeverSucceed) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::UNAUTHENTICATED,
        grpc::StatusCode::FAILED_PRECONDITION, grpc::StatusCode::RESOURCE_EXHAUSTED,
        grpc::StatusCode::DEADLINE_EXCEEDED, grpc::StatusCode::CANCELLED, grpc::StatusCode::UNIMPLEMENTED,
        grpc::StatusCode::UNKNOWN}) {
    FakeServer server;
    server.Expect({.status = grpc::Status(code, "for good")});
    server.Expect({.responses = {Finished("after all")}});
    EXPECT_FALSE(server.Connect()->Answer(Question(), {.max_retries = 3}, &GoOn).ok());
    EXPECT_EQ(server.metadata().size(), 1) << code;
  }
}

TEST(InferenceClient, WhatTheServerCancelsIsAborted) {
  FakeServer server;
  server.Expect({.responses = {Started("id")}, .status = grpc::Status(grpc::StatusCode::CANCELLED, "stuck")});
  Cancellation nobody_cancels;
  const absl::Status status =
      server.Connect()->Answer(Question(), {.cancellation = &nobody_cancels}, &GoOn).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("--write_timeout"), HasSubstr("stuck")));
  server.Expect({.status = grpc::Status(grpc::StatusCode::CANCELLED, "request: did not arrive")});
  EXPECT_EQ(server.Connect()->Answer(Question(), {.max_retries = 3}, &GoOn).status(),
            absl::AbortedError("the server cancelled the call: request: did not arrive"));
}

TEST(InferenceClient, DoesNotWaitBeyondTheTimeout) {
  FakeServer server;
  server.Expect({.status = Busy(absl::Hours(1))});
  const CallOptions options{.timeout = absl::Minutes(1), .max_retries = 1};
  EXPECT_EQ(server.Connect()->Answer(Question(), options, &GoOn).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(InferenceClient, CancellationEndsTheWaitForARetry) {
  FakeServer server;
  server.Expect({.status = Busy(absl::Hours(1))});
  Cancellation cancellation;
  std::thread other([&] {
    while (server.metadata().empty()) std::this_thread::yield();
    cancellation.Cancel();
  });
  EXPECT_EQ(server.Connect()
                ->Answer(Question(), {.max_retries = 1, .cancellation = &cancellation}, &GoOn)
                .status()
                .code(),
            absl::StatusCode::kCancelled);
  other.join();
}

TEST(InferenceClient, TakesRepliesLargerThanGrpcsDefault) {
  FakeServer server;
  server.Expect({.responses = {Finished(std::string(6 << 20, 'x'))}});
  const auto finished = server.Connect()->Answer(Question(), {}, &GoOn);
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->text().size(), 6 << 20);
}

TEST(InferenceClient, CompareGivesOneResultForEachSetting) {
  FakeServer server;
  server.Expect({.compare_responses = {OfSetting(1, Finished("on")), OfSetting(0, Finished("off"))}});
  server.Expect({.compare_responses = {OfSetting(1, Finished("on"))}});
  v1::CompareRequest request;
  request.add_settings()->set_mode(v1::VAR_MODE_OFF);
  request.add_settings()->set_mode(v1::VAR_MODE_ON);
  const auto client = server.Connect();
  const auto finished =
      client->Compare(request, {}, [](const v1::CompareResponse& /*response*/) { return true; });
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ((*finished)[0].text(), "off");
  EXPECT_EQ((*finished)[1].text(), "on");
  EXPECT_EQ(client->Compare(request, {}, [](const v1::CompareResponse& /*response*/) { return true; })
                .status()
                .code(),
            absl::StatusCode::kInternal);
}

TEST(InferenceClient, AsksForHealthByName) {
  FakeServer server;
  server.SetServing(InferenceClient::kService, false);
  const auto client = server.Connect();
  EXPECT_EQ(client->CheckHealth("", {})->status(), grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_EQ(client->CheckHealth(InferenceClient::kService, {})->status(),
            grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(client->CheckHealth("nobody", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST(InferenceClient, ManyThreadsShareOne) {
  FakeServer server;
  constexpr int kThreads = 8;
  for (int i = 0; i < kThreads; ++i) server.Expect({.responses = {Started("id"), Finished("same")}});
  const auto client = server.Connect();
  std::vector<std::string> texts(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { texts[i] = client->Answer(Question(), {}, &GoOn)->text(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(texts, testing::Each("same"));
}

}  // namespace
}  // namespace varserve::client
