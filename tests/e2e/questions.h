// Requests to send, and how they end.
#pragma once

#include <string>

#include "absl/time/clock.h"
#include "client/inference_client.h"
#include "tests/e2e/pictures.h"
#include "tests/e2e/server_process.h"

namespace varserve::testing {

// Runs until `max_tokens`, whatever the model says.
inline v1::AnswerRequest LongQuestion(uint32_t max_tokens, const std::string& question = "What is it?") {
  v1::AnswerRequest request;
  request.add_images()->set_data(Picture("rgb.jpg"));
  request.set_question(question);
  request.mutable_options()->set_max_tokens(max_tokens);
  request.mutable_options()->set_ignore_eos(true);
  return request;
}

inline absl::Status Ask(client::InferenceClient& client, const v1::AnswerRequest& request,
                        const client::CallOptions& options = {}) {
  return client.Answer(request, options, [](const auto&) { return true; }).status();
}

// Until its metrics say that no request is left.
inline void WaitUntilIdle(const ServerProcess& server) {
  while (server.Metric("varserve_requests_running") + server.Metric("varserve_requests_waiting") > 0)
    absl::SleepFor(absl::Milliseconds(10));
}

}  // namespace varserve::testing
