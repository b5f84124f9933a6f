#include "client/kept_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/image_digest.h"
#include "tests/unit/client/fake_server.h"

namespace varserve::client {
namespace {

using ::testing::Contains;
using ::testing::Pair;

v1::AnswerRequest Question() {
  v1::AnswerRequest request;
  request.add_images()->set_data("picture");
  request.set_question("What is it?");
  return request;
}

bool GoOn(const v1::GenerateResponse& /*response*/) { return true; }

// A first response that says the images are kept.
v1::GenerateResponse Kept() {
  v1::GenerateResponse response = Started("id");
  response.mutable_started()->set_images_kept(true);
  return response;
}

TEST(KeptImages, NamesAnImageThatTheServerKeeps) {
  FakeServer server;
  server.Expect({.responses = {Kept(), Finished("")}});
  server.Expect({.responses = {Kept(), Finished("")}});
  const auto client = server.Connect();
  ASSERT_TRUE(client->Answer(Question(), {}, &GoOn).ok());
  v1::AnswerRequest two = Question();
  two.add_images()->set_data("another");
  ASSERT_TRUE(client->Answer(two, {}, &GoOn).ok());
  const auto requests = server.answer_requests();
  EXPECT_EQ(requests[0].images(0).data(), "picture");
  EXPECT_EQ(requests[1].images(0).sha256(), ImageDigest(Question()));
  EXPECT_EQ(requests[1].images(1).data(), "another");
  EXPECT_THAT(server.metadata()[1], Contains(Pair("x-image-digest", ImageDigest(two))));
}

TEST(KeptImages, SendsAnImageThatTheServerKeepsNoMore) {
  FakeServer server;
  server.Expect({.responses = {Kept(), Finished("")}});
  server.Expect({.status = {grpc::StatusCode::NOT_FOUND, "images[0].sha256: gone"}});
  server.Expect({.responses = {Started("id"), Finished("well")}});
  server.Expect({.responses = {Finished("")}});
  const auto client = server.Connect();
  ASSERT_TRUE(client->Answer(Question(), {}, &GoOn).ok());
  const auto finished = client->Answer(Question(), {}, &GoOn);
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->text(), "well");
  ASSERT_TRUE(client->Answer(Question(), {}, &GoOn).ok());
  const auto requests = server.answer_requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_TRUE(requests[1].images(0).has_sha256());
  EXPECT_EQ(requests[2].images(0).data(), "picture");
  EXPECT_EQ(requests[3].images(0).data(), "picture") << "named though the server did not keep it";
}

TEST(KeptImages, WhatTheCallerNamesIsTheCallersBusiness) {
  FakeServer server;
  server.Expect({.status = {grpc::StatusCode::NOT_FOUND, "images[0].sha256: gone"}});
  v1::AnswerRequest request = Question();
  request.mutable_images(0)->set_sha256(ImageDigest(Question()));
  const auto client = server.Connect();
  EXPECT_TRUE(absl::IsNotFound(client->Answer(request, {}, &GoOn).status()));
  EXPECT_THAT(server.metadata()[0], Contains(Pair("x-image-digest", ImageDigest(Question()))));
}

}  // namespace
}  // namespace varserve::client
