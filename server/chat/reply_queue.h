// Responses that wait to be written. Meanwhile, deltas of the same setting are joined while the result is
// small, so that the queue of a slow reader stays short. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

struct Reply {
  uint32_t setting = 0;  // index in a Compare
  v1::GenerateResponse response;
  size_t bytes = 0;  // approximately
};

class ReplyQueue {
 public:
  void Push(uint32_t setting, v1::GenerateResponse response);
  bool empty() const { return replies_.empty(); }
  Reply Pop();  // the queue must not be empty
  void Clear() { replies_.clear(); }

 private:
  std::deque<Reply> replies_;
};

}  // namespace varserve::chat
