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

  // Ends the line of an answer that broke off.
  ~AnswerOutput();
  AnswerOutput(const AnswerOutput&) = delete;
  AnswerOutput& operator=(const AnswerOutput&) = delete;

  // Each response, in order. False if nobody reads the output any more.
  bool Add(const v1::GenerateResponse& response);
  // The same, as the client library wants it.
  auto callback() {
    return [this](const v1::GenerateResponse& response) { return Add(response); };
  }

 private:
  void AddText(const v1::GenerateResponse& response);
  void Finish(const v1::Finished& finished);

  const OutputFlags flags_;
  Console& console_;
  bool in_line_ = false;  // text was written, and not yet its end
  std::vector<v1::TokenLogprob> logprobs_;
};

}  // namespace varserve::cli
