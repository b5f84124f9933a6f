// One streamed answer on the console: its text as it comes, then what VAR did, log-probabilities and times as
// asked for; or, for programs, one JSON object a line. Thread-compatible.
#pragma once

#include <vector>

#include "client/cli/console.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::cli {

struct OutputFlags {
  bool json = false;
  bool verbose = false;
};

class AnswerOutput {
 public:
  AnswerOutput(const OutputFlags& flags, Console& console) : flags_(flags), console_(console) {}

  // Each response, in order.
  void Add(const v1::GenerateResponse& response);
  // The same, as the client library wants it.
  auto callback() {
    return [this](const v1::GenerateResponse& response) {
      Add(response);
      return true;
    };
  }

 private:
  void Finish(const v1::Finished& finished);

  const OutputFlags flags_;
  Console& console_;
  std::vector<v1::TokenLogprob> logprobs_;
};

}  // namespace varserve::cli
