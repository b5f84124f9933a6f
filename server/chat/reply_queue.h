// Responses that wait to be written. While they wait, deltas of the same setting join into one, as long as it
// stays small: the queue of a slow reader stays short. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

struct Reply {
  uint32_t setting = 0;  // index in a Compare
  v1::GenerateResponse response;
  size_t bytes = 0;  // about
};

class ReplyQueue {
 public:
  void Push(uint32_t setting, v1::GenerateResponse response);
  bool empty() const { return replies_.empty(); }
  Reply Pop();  // not of an empty queue
  void Clear() { replies_.clear(); }

 private:
  std::deque<Reply> replies_;
};

}  // namespace varserve::chat
