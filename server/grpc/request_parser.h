// Parses a call's bytes into a request message. Errors explain the problem to the caller; gRPC's own would be
// just INTERNAL. Thread-safe.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "server/chat/request_scan.h"

namespace varserve::rpc {

// INVALID_ARGUMENT as from ScanRequest; a message that exceeds the limits is not built.
absl::Status ParseRequest(const grpc::ByteBuffer& bytes, const chat::RequestLimits& limits,
                          google::protobuf::Message& request);

}  // namespace varserve::rpc
