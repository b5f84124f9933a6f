// Bytes of a call to a request message, with an error a caller can act on: gRPC itself would only say
// INTERNAL.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"

namespace varserve::rpc {

// INVALID_ARGUMENT naming the first string field that is not valid UTF-8, or saying that the bytes are no
// such message.
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message& request);

}  // namespace varserve::rpc
