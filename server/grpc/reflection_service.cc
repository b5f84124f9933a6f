#include "server/grpc/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <utility>

#include "server/grpc/message_reactor.h"
#include "server/grpc/wire.h"
#include "server/transport/peer.h"

namespace varserve::rpc {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

constexpr int64_t kMaxRequestBytes = 4096;

// Adds the file after its imports, each file once.
void AddFile(const FileDescriptor& file, std::set<const FileDescriptor*>& seen,
             ReflectionService::Response& response) {
  if (!seen.insert(&file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), seen, response);
}

void NotFound(const std::string& what, ReflectionService::Response& response) {
  response.mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
  response.mutable_error_response()->set_error_message(what + ": is not known");
}

}  // namespace

ReflectionService::ReflectionService(transport::OpenCalls* open_calls, std::vector<std::string> services)
    : open_calls_(open_calls), services_(std::move(services)) {
  AddRawMethod("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
               [this](auto* context) { return Begin(context); });
}

ReflectionService::Reactor* ReflectionService::Begin(grpc::CallbackServerContext* context) {
  const auto call = MessageReactor::Create({.call = context,
                                            .open_calls = open_calls_,
                                            .caller = transport::AddressOf(context->peer()),
                                            .arrival = open_calls_->clock().Now()});
  call->ReadAll(kMaxRequestBytes, [this, call](absl::StatusOr<CallReactor::Message> message) {
    if (!message.ok()) return call->Abort(message.status());
    Request request;
    if (!FromBytes(message->bytes, request))
      return call->Abort(absl::InvalidArgumentError("request: is not a ServerReflectionRequest message"));
    call->Send(Answer(request));
  });
  return call.get();
}

ReflectionService::Response ReflectionService::Answer(const Request& request) const {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  const FileDescriptor* file = nullptr;
  switch (request.message_request_case()) {
    case Request::kListServices:
      for (const std::string& name : services_)
        response.mutable_list_services_response()->add_service()->set_name(name);
      return response;
    case Request::kFileByFilename:
      file = pool.FindFileByName(request.file_by_filename());
      break;
    case Request::kFileContainingSymbol:
      file = pool.FindFileContainingSymbol(request.file_containing_symbol());
      break;
    case Request::kAllExtensionNumbersOfType:
      if (pool.FindMessageTypeByName(request.all_extension_numbers_of_type()) == nullptr) break;
      response.mutable_all_extension_numbers_response()->set_base_type_name(
          request.all_extension_numbers_of_type());
      return response;
    default:
      break;
  }
  if (std::set<const FileDescriptor*> seen; file != nullptr) {
    AddFile(*file, seen, response);
  } else {
    NotFound("message_request", response);
  }
  return response;
}

}  // namespace varserve::rpc
