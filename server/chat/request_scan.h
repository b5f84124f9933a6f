// Scans a request's bytes before they are parsed. A parsed message can take many times the memory of
// its bytes: two bytes are an empty message. Allocates nothing but the error. Thread-safe.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include "absl/status/status.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

// The largest number of each repeated element.
struct RequestLimits {
  int max_images = 8;
  int max_messages = kMaxMessages;
  int max_parts = kMaxParts;
  int num_layers = 0;  // of the model: map_layers of one setting

  static constexpr int kMaxMessages = 512;
  static constexpr int kMaxParts = 1024;
};

RequestLimits LimitsOf(const v1::Model& model);

// INVALID_ARGUMENT naming the first element beyond a limit, the first string that is not valid UTF-8, or
// saying that the bytes are not a message of this type. Bytes that pass may still fail to parse.
absl::Status ScanRequest(google::protobuf::io::ZeroCopyInputStream& bytes,
                         const google::protobuf::Descriptor& type, const RequestLimits& limits);

}  // namespace varserve::chat
