// The pipeline's replies as a chat completion, or as the chunks of one. Used by one thread at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/chat/reply_queue.h"

namespace varserve::openai {

struct CompletionFormat {
  std::string id;
  std::string model;
  absl::Time created;
  int choices = 1;
  bool logprobs = false;
  bool include_usage = false;
  std::function<std::string(int32_t token)> token_text;
};

class CompletionReply {
 public:
  explicit CompletionReply(CompletionFormat format);

  // Adds to the completion.
  void Add(const chat::Reply& reply);
  // The completion, once every choice has finished.
  std::string Whole() const;

  // The events of a stream that a reply makes, and its last ones.
  std::string Events(const chat::Reply& reply);
  std::string LastEvents() const;

 private:
  struct Choice {
    std::string text;
    nlohmann::json logprobs = nlohmann::json::array();
    std::string finish_reason;
    v1::Usage usage;
    std::string report;  // of its intervention: members of a JSON object; empty without one
  };

  nlohmann::json Frame(const char* object) const;
  nlohmann::json Logprobs(const v1::Delta& delta) const;
  nlohmann::json Usage() const;
  std::string ChunkEvent(uint32_t choice, nlohmann::json delta, nlohmann::json logprobs,
                         nlohmann::json finish_reason, absl::string_view report) const;
  void Finish(const v1::Finished& finished, Choice& choice) const;

  const CompletionFormat format_;
  std::vector<Choice> choices_;
};

// An error in the middle of a stream.
std::string ErrorEvent(const absl::Status& status);

}  // namespace varserve::openai
