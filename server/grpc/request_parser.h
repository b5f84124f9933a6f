// Bytes of a call to a request message, with an error a caller can act on: gRPC itself would only say
// INTERNAL. Thread-safe.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "server/chat/request_scan.h"

namespace varserve::rpc {

// INVALID_ARGUMENT as of ScanRequest; what is too much is not built.
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, const chat::RequestLimits& limits,
                          google::protobuf::Message& request);

}  // namespace varserve::rpc
