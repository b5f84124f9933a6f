// Messages and the bytes gRPC carries. Thread-safe.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

namespace varserve::rpc {

grpc::ByteBuffer ToBytes(const google::protobuf::Message& message);
// False if they are no such message.
bool FromBytes(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

}  // namespace varserve::rpc
