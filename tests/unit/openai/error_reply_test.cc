#include "server/openai/error_reply.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/engine/retry_delay.h"

namespace varserve::openai {
namespace {

using nlohmann::json;

json Error(const absl::Status& status) { return json::parse(ErrorBody(status))["error"]; }

TEST(ErrorReplyTest, EachCodeHasItsStatus) {
  EXPECT_EQ(HttpStatusOf(absl::OkStatus()), 200);
  EXPECT_EQ(HttpStatusOf(absl::InvalidArgumentError("")), 400);
  EXPECT_EQ(HttpStatusOf(absl::FailedPreconditionError("")), 400);
  EXPECT_EQ(HttpStatusOf(absl::UnauthenticatedError("")), 401);
  EXPECT_EQ(HttpStatusOf(absl::NotFoundError("")), 404);
  EXPECT_EQ(HttpStatusOf(absl::CancelledError("")), 408);
  EXPECT_EQ(HttpStatusOf(absl::InternalError("")), 500);
  EXPECT_EQ(HttpStatusOf(absl::UnavailableError("")), 503);
  EXPECT_EQ(HttpStatusOf(absl::DeadlineExceededError("")), 504);
}

// Clients try again after 429.
TEST(ErrorReplyTest, WhatNeverFitsIsNotTriedAgain) {
  const absl::Status full = absl::ResourceExhaustedError("queue: is full");
  EXPECT_EQ(HttpStatusOf(engine::WithRetryDelay(full, absl::Seconds(1))), 429);
  EXPECT_EQ(HttpStatusOf(full), 413);
}

TEST(ErrorReplyTest, TheFieldIsItsParam) {
  const json error =
      Error(absl::InvalidArgumentError("messages[0].content[1].image_url.url: is not a data: URL"));
  EXPECT_EQ(error["param"], "messages[0].content[1].image_url.url");
  EXPECT_EQ(error["message"], "messages[0].content[1].image_url.url: is not a data: URL");
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["code"], nullptr);
  EXPECT_EQ(Error(absl::InvalidArgumentError("something is wrong: yes"))["param"], nullptr);
  EXPECT_EQ(Error(absl::NotFoundError("model: no"))["code"], "model_not_found");
  EXPECT_EQ(Error(absl::NotFoundError("messages[0].content[1].image_url.url: no"))["code"],
            "image_not_found");
  EXPECT_EQ(Error(absl::NotFoundError("there is no /x"))["code"], nullptr);
  EXPECT_EQ(Error(absl::UnauthenticatedError("authorization: no"))["code"], "invalid_api_key");
  EXPECT_EQ(Error(absl::InternalError("x: y"))["type"], "server_error");
}

TEST(ErrorReplyTest, AnyMessageIsJson) {
  EXPECT_EQ(Error(absl::InvalidArgumentError(std::string(5000, 'x')))["message"].get<std::string>().size(),
            1024U);
  EXPECT_TRUE(Error(absl::InvalidArgumentError("\xff\"\n")).is_object());
}

}  // namespace
}  // namespace varserve::openai
