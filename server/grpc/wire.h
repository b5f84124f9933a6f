// Converts between messages and the bytes that gRPC carries. Thread-safe.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

namespace varserve::rpc {

grpc::ByteBuffer ToBytes(const google::protobuf::Message& message);
// False if the bytes are not a valid message.
bool FromBytes(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

}  // namespace varserve::rpc
