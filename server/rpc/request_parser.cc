#include "server/rpc/request_parser.h"

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/rpc/wire.h"

namespace varserve::rpc {

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, const RequestLimits& limits,
                          google::protobuf::Message& request) {
  const google::protobuf::Descriptor& type = *request.GetDescriptor();
  RETURN_IF_ERROR(ScanRequest(bytes, type, limits));
  if (FromBytes(bytes, request)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request: is not a ", type.full_name(), " message"));
}

}  // namespace varserve::rpc
