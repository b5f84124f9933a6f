#include "tests/testing/random_calls.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace varserve::testing {
namespace {

using absl::StatusCode;

}  // namespace

RandomCaller::RandomCaller(std::unique_ptr<client::InferenceClient> client, std::vector<std::string> pictures,
                           uint32_t max_tokens, uint64_t seed)
    : client_(std::move(client)), pictures_(std::move(pictures)), max_tokens_(max_tokens), random_(seed) {}

void RandomCaller::Call() {
  client::CallOptions options;
  const bool hurried = Chance(8);
  if (hurried) options.timeout = absl::Microseconds(Pick(1, 50'000));
  const bool hangs_up = !hurried && Chance(6);
  const bool valid = !Chance(5);
  const absl::Status status =
      valid ? Valid(options, hangs_up ? Pick(0, 5) : std::numeric_limits<int>::max()) : Invalid(options);
  ++ends_[status.code()];
  switch (status.code()) {
    case StatusCode::kOk:
      EXPECT_TRUE(valid);
      break;
    case StatusCode::kInvalidArgument:
      EXPECT_FALSE(valid) << status;
      break;
    case StatusCode::kCancelled:
      EXPECT_TRUE(hangs_up) << status;
      break;
    case StatusCode::kDeadlineExceeded:
      EXPECT_TRUE(hurried) << status;
      break;
    case StatusCode::kInternal:
      EXPECT_TRUE(valid) << status;
      break;
    default:
      EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status;
      absl::SleepFor(absl::Milliseconds(Pick(1, 100)));  // rather than to ask again at once
  }
}

v1::Image RandomCaller::Picture() {
  v1::Image image;
  image.set_data(pictures_[Pick(0, static_cast<int>(pictures_.size()) - 1)]);
  return image;
}

void RandomCaller::SetOptions(v1::GenerateOptions& options) {
  options.set_max_tokens(static_cast<uint32_t>(Pick(1, static_cast<int>(max_tokens_))));
  options.set_ignore_eos(Chance(2));
  if (Chance(2)) options.set_temperature(static_cast<float>(Pick(0, 20)) / 10);
  if (Chance(3)) options.set_top_p(0.9F);
  if (Chance(3)) options.set_top_k(static_cast<uint32_t>(Pick(0, 20)));
  if (Chance(4)) options.set_repetition_penalty(1.2F);
  if (Chance(4)) options.set_logprobs(static_cast<uint32_t>(Pick(0, 5)));
  if (Chance(4)) options.add_stop("es");
  if (Chance(2)) options.set_seed(static_cast<uint64_t>(Pick(0, 9)));
}

void RandomCaller::SetVar(v1::VarOptions& var) {
  var.set_mode(static_cast<v1::VarMode>(Pick(1, 3)));
  if (Chance(3)) var.set_variant(v1::VAR_VARIANT_AUTHORS_CODE);
  if (Chance(3)) var.set_rho(0);
  if (Chance(3)) var.set_p(1);
  var.set_detail(static_cast<v1::VarDetail>(Pick(0, 4)));
}

v1::GenerateRequest RandomCaller::Conversation() {
  v1::GenerateRequest request;
  for (int turns = Pick(0, 2); turns >= 0; --turns) {
    v1::Message& question = *request.add_messages();
    question.set_role(v1::ROLE_USER);
    for (int images = Pick(0, 2); images > 0; --images) *question.add_parts()->mutable_image() = Picture();
    question.add_parts()->set_text(Chance(2) ? "What is it?" : std::string(Pick(1, 20), 'q'));
    if (turns == 0) break;
    v1::Message& answer = *request.add_messages();
    answer.set_role(v1::ROLE_ASSISTANT);
    answer.add_parts()->set_text("This.");
  }
  SetOptions(*request.mutable_options());
  return request;
}

absl::Status RandomCaller::Valid(const client::CallOptions& options, int most_responses) {
  const auto on_response = [&most_responses](const auto&) { return most_responses-- > 0; };
  switch (Pick(0, 3)) {
    case 0: {
      v1::AnswerRequest request;
      *request.add_images() = Picture();
      request.set_question("Why?");
      SetOptions(*request.mutable_options());
      SetVar(*request.mutable_var());
      return client_->Answer(request, options, on_response).status();
    }
    case 1: {
      v1::CaptionRequest request;
      *request.mutable_image() = Picture();
      request.set_length(static_cast<v1::CaptionLength>(Pick(0, 3)));
      SetOptions(*request.mutable_options());
      SetVar(*request.mutable_var());
      return client_->Caption(request, options, on_response).status();
    }
    case 2: {
      v1::GenerateRequest request = Conversation();
      SetVar(*request.mutable_var());
      return client_->Generate(request, options, on_response).status();
    }
    default: {
      v1::CompareRequest request;
      *request.mutable_request() = Conversation();
      for (int settings = Pick(1, 3); settings > 0; --settings) SetVar(*request.add_settings());
      return client_->Compare(request, options, on_response).status();
    }
  }
}

absl::Status RandomCaller::Invalid(const client::CallOptions& options) {
  v1::AnswerRequest request;
  *request.add_images() = Picture();
  request.set_question("Why?");
  switch (Pick(0, 7)) {
    case 0:
      request.clear_question();
      break;
    case 1:
      request.mutable_images(0)->mutable_data()->resize(request.images(0).data().size() / 3);
      break;
    case 2:
      request.mutable_images(0)->set_data(std::string(Pick(1, 5000), static_cast<char>(Pick(0, 127))));
      break;
    case 3:
      request.mutable_options()->set_temperature(-1);
      break;
    case 4:
      request.mutable_var()->set_mode(static_cast<v1::VarMode>(Pick(4, 100)));
      break;
    case 5:
      request.mutable_var()->set_last_layer(1000);
      break;
    case 6:
      for (int i = 0; i < 20; ++i) *request.add_images() = Picture();
      break;
    default:
      for (int i = 0; i < 5000; ++i) request.mutable_question()->append(" no room");
  }
  return client_->Answer(request, options, [](const auto&) { return true; }).status();
}

std::map<StatusCode, int> CallAtRandom(const std::string& address, const std::vector<std::string>& pictures,
                                       uint32_t max_tokens, int callers, absl::Duration duration,
                                       uint64_t seed) {
  const absl::Time end = absl::Now() + duration;
  std::vector<std::map<StatusCode, int>> ends(callers);
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] {
      RandomCaller caller(*client::InferenceClient::Connect({.address = address}), pictures, max_tokens,
                          seed + i);
      while (absl::Now() < end && !::testing::Test::HasFailure()) caller.Call();
      ends[i] = caller.ends();
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<StatusCode, int> sum;
  for (const auto& one : ends) {
    for (const auto& [code, count] : one) sum[code] += count;
  }
  return sum;
}

std::string ToText(const std::map<StatusCode, int>& ends) {
  return absl::StrJoin(ends, ", ", [](std::string* out, const auto& end) {
    absl::StrAppend(out, end.second, " ", absl::StatusCodeToString(end.first));
  });
}

}  // namespace varserve::testing
