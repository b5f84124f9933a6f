#include "server/grpc/request_parser.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/grpc/wire.h"

namespace varserve::rpc {

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, const chat::RequestLimits& limits,
                          google::protobuf::Message& request) {
  const google::protobuf::Descriptor& type = *request.GetDescriptor();
  grpc::ByteBuffer copy(bytes);  // shares the slices
  grpc::ProtoBufferReader reader(&copy);
  if (!reader.status().ok()) return absl::InternalError("request: its bytes cannot be read");
  RETURN_IF_ERROR(chat::ScanRequest(reader, type, limits));
  if (FromBytes(bytes, request)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request: is not a ", type.full_name(), " message"));
}

}  // namespace varserve::rpc
