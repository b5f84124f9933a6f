// What a caller may send wrong: each gets its status code and a message that names the field, and the server
// continues.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>
#include <limits>
#include <string>

#include "tests/e2e/pictures.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::AnswerRequest Question(const std::string& picture) {
  v1::AnswerRequest request;
  request.add_images()->set_data(picture);
  request.set_question("What is it?");
  request.mutable_options()->set_max_tokens(4);
  return request;
}

class BadRequestTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = new ServableModel();
    server_ = new ServerProcess(model_->dir());
    ASSERT_TRUE(server_->WaitUntilReady());
  }
  static void TearDownTestSuite() {
    // After everything below the server still answers and ends well.
    const std::unique_ptr<client::InferenceClient> client = server_->Connect();
    EXPECT_TRUE(client->Answer(Question(Picture("rgb.jpg")), {}, [](const auto&) { return true; }).ok());
    server_->Signal(SIGTERM);
    EXPECT_EQ(server_->WaitForExit(), 0);
    delete server_;
    delete model_;
  }

  absl::Status Ask(const v1::AnswerRequest& request) {
    return server_->Connect()->Answer(request, {}, [](const auto&) { return true; }).status();
  }
  // The status of a question changed by `change`.
  absl::Status AskChanged(const std::function<void(v1::AnswerRequest&)>& change) {
    v1::AnswerRequest request = Question(Picture("rgb.jpg"));
    change(request);
    return Ask(request);
  }

  static ServableModel* model_;
  static ServerProcess* server_;
};
ServableModel* BadRequestTest::model_ = nullptr;
ServerProcess* BadRequestTest::server_ = nullptr;

void ExpectInvalid(const absl::Status& status, const std::string& field, const std::string& problem = "") {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), StartsWith(field));
  EXPECT_THAT(std::string(status.message()), HasSubstr(problem));
}

TEST_F(BadRequestTest, NoImage) {
  ExpectInvalid(AskChanged([](auto& request) { request.clear_images(); }), "images");
  ExpectInvalid(AskChanged([](auto& request) { request.mutable_images(0)->clear_data(); }), "images[0]");
  v1::CaptionRequest caption;
  ExpectInvalid(server_->Connect()->Caption(caption, {}, [](const auto&) { return true; }).status(), "image");
}

TEST_F(BadRequestTest, TooManyImages) {
  ExpectInvalid(AskChanged([](auto& request) {
                  for (int i = 0; i < 8; ++i) *request.add_images() = request.images(0);
                }),
                "images[8]", "at most 8");
}

TEST_F(BadRequestTest, TruncatedJpeg) {
  const std::string whole = Picture("rgb.jpg");
  ExpectInvalid(Ask(Question(whole.substr(0, whole.size() / 2))), "images[0]", "JPEG");
  ExpectInvalid(Ask(Question(whole.substr(0, 10))), "images[0]", "JPEG");
}

TEST_F(BadRequestTest, OnePixelIsAPicture) { EXPECT_TRUE(Ask(Question(Picture("1x1.png"))).ok()); }

TEST_F(BadRequestTest, Zeros) {
  ExpectInvalid(Ask(Question(std::string(40000, '\0'))), "images[0]", "neither JPEG nor PNG nor WebP");
}

TEST_F(BadRequestTest, HugePngHeader) { ExpectInvalid(Ask(Question(HugePngHeader())), "images[0]", "30000"); }

TEST_F(BadRequestTest, PromptLongerThanTheContext) {
  ExpectInvalid(AskChanged([](auto& request) { request.set_question(std::string(2000, 'a')); }), "question",
                "context");
}

TEST_F(BadRequestTest, EmptyQuestion) {
  ExpectInvalid(AskChanged([](auto& request) { request.clear_question(); }), "question");
}

TEST_F(BadRequestTest, OptionsOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto options = [this](const std::function<void(v1::GenerateOptions&)>& change) {
    return AskChanged([&](v1::AnswerRequest& request) { change(*request.mutable_options()); });
  };
  ExpectInvalid(options([](auto& o) { o.set_max_tokens(0); }), "options.max_tokens");
  ExpectInvalid(options([&](auto& o) { o.set_temperature(nan); }), "options.temperature");
  ExpectInvalid(options([](auto& o) { o.set_temperature(-1); }), "options.temperature");
  ExpectInvalid(options([](auto& o) { o.set_top_p(0); }), "options.top_p");
  ExpectInvalid(options([&](auto& o) { o.set_top_p(nan); }), "options.top_p");
  ExpectInvalid(options([](auto& o) { o.set_top_k(1 << 30); }), "options.top_k");
  ExpectInvalid(options([](auto& o) { o.set_repetition_penalty(0); }), "options.repetition_penalty");
  ExpectInvalid(options([](auto& o) { o.set_logprobs(21); }), "options.logprobs");
  ExpectInvalid(options([](auto& o) { o.add_stop(); }), "options.stop[0]");
  ExpectInvalid(options([](auto& o) {
                  for (int i = 0; i < 9; ++i) o.add_stop("stop");
                }),
                "options.stop");
}

TEST_F(BadRequestTest, VarOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto var = [this](const std::function<void(v1::VarOptions&)>& change) {
    return AskChanged([&](v1::AnswerRequest& request) {
      request.mutable_var()->set_mode(v1::VAR_MODE_ON);
      change(*request.mutable_var());
    });
  };
  ExpectInvalid(var([](auto& v) { v.set_mode(static_cast<v1::VarMode>(9)); }), "var.mode");
  ExpectInvalid(var([](auto& v) { v.set_variant(static_cast<v1::VarVariant>(9)); }), "var.variant");
  ExpectInvalid(var([](auto& v) { v.set_tau(0); }), "var.tau");
  ExpectInvalid(var([&](auto& v) { v.set_tau(nan); }), "var.tau");
  ExpectInvalid(var([](auto& v) { v.set_rho(1.5F); }), "var.rho");
  ExpectInvalid(var([](auto& v) { v.set_p(-0.1F); }), "var.p");
  ExpectInvalid(var([](auto& v) { v.set_min_visual_attention(2); }), "var.min_visual_attention");
  ExpectInvalid(var([](auto& v) { v.set_last_layer(5); }), "var.last_layer");
  ExpectInvalid(var([](auto& v) {
                  v.set_first_layer(3);
                  v.set_last_layer(2);
                }),
                "var.first_layer");
  ExpectInvalid(var([](auto& v) { v.add_map_layers(5); }), "var.map_layers[0]");
  ExpectInvalid(var([](auto& v) {
                  for (int i = 0; i < 1000; ++i) v.add_map_layers(0);
                }),
                "var.map_layers", "counts them from 0");
}

TEST_F(BadRequestTest, InvalidUtf8) {
  // protobuf's own serializer only warns, so this reaches the server.
  ExpectInvalid(AskChanged([](auto& request) { request.set_question("caf\xe9"); }), "question", "UTF-8");
  ExpectInvalid(AskChanged([](auto& request) { request.mutable_options()->add_stop("caf\xe9"); }),
                "options.stop[0]", "UTF-8");
}

TEST_F(BadRequestTest, MessageOf100MB) {
  const absl::Status status = Ask(Question(std::string(100 << 20, 'x')));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("message"));
}

TEST_F(BadRequestTest, ImageOverItsLimit) {
  std::string picture = Picture("rgb.jpg");
  picture.resize(30 << 20);
  ExpectInvalid(Ask(Question(picture)), "images[0]", "20971520");
}

TEST_F(BadRequestTest, Conversations) {
  const auto generate = [](const std::function<void(v1::GenerateRequest&)>& change) {
    v1::GenerateRequest request;
    request.mutable_options()->set_max_tokens(2);
    change(request);
    return server_->Connect()->Generate(request, {}, [](const auto&) { return true; }).status();
  };
  const auto say = [](v1::GenerateRequest& request, v1::Role role) {
    v1::Message* message = request.add_messages();
    message->set_role(role);
    message->add_parts()->set_text("hello");
    return message;
  };
  ExpectInvalid(generate([](auto&) {}), "messages");
  ExpectInvalid(generate([&](auto& r) { say(r, v1::ROLE_UNSPECIFIED); }), "messages[0].role");
  ExpectInvalid(generate([&](auto& r) { say(r, v1::ROLE_USER)->clear_parts(); }), "messages[0].parts");
  ExpectInvalid(generate([&](auto& r) { say(r, v1::ROLE_USER)->add_parts(); }), "messages[0].parts[1]");
  ExpectInvalid(generate([&](auto& r) {
                  say(r, v1::ROLE_USER);
                  say(r, v1::ROLE_SYSTEM);
                }),
                "messages[1].role");
  EXPECT_TRUE(generate([&](auto& r) { say(r, v1::ROLE_USER); }).ok());
  ExpectInvalid(generate([&](auto& r) {
                  for (int i = 0; i < 513; ++i) say(r, v1::ROLE_USER);
                }),
                "messages[512]", "Limits.max_messages");
  ExpectInvalid(generate([&](auto& r) {
                  v1::Message* message = say(r, v1::ROLE_USER);
                  for (int i = 0; i < 1024; ++i) message->add_parts()->set_text("x");
                }),
                "messages[0].parts[1024]", "Limits.max_parts");
}

TEST_F(BadRequestTest, CompareSettings) {
  using Change = std::function<void(v1::CompareRequest&)>;
  const auto compare = [](
                           int settings, const Change& change = [](auto&) {}) {
    v1::CompareRequest request;
    v1::Message* message = request.mutable_request()->add_messages();
    message->set_role(v1::ROLE_USER);
    message->add_parts()->mutable_image()->set_data(Picture("rgb.jpg"));
    message->add_parts()->set_text("What is it?");
    request.mutable_request()->mutable_options()->set_max_tokens(2);
    for (int i = 0; i < settings; ++i) request.add_settings()->set_mode(v1::VAR_MODE_ON);
    change(request);
    return server_->Connect()->Compare(request, {}, [](const auto&) { return true; }).status();
  };
  ExpectInvalid(compare(0), "settings");
  ExpectInvalid(compare(9), "settings");
  EXPECT_TRUE(compare(8).ok());
  ExpectInvalid(compare(3, [](auto& r) { r.mutable_settings(2)->set_rho(2); }), "settings[2].rho");
  ExpectInvalid(compare(1, [](auto& r) { r.mutable_request()->mutable_options()->set_top_p(2); }),
                "request.options.top_p");
}

}  // namespace
}  // namespace varserve::testing
