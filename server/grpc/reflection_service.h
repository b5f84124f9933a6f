// gRPC's reflection service (grpc.reflection.v1alpha), with which grpcurl finds out what it can call. Knows
// the files compiled into the process; they contain no extensions. Needs no token. Must outlive its calls.
// Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "server/grpc/raw_service.h"
#include "server/transport/open_calls.h"

namespace varserve::rpc {

class ReflectionService : public RawService {
 public:
  // `services`: full names of the services that can be called.
  ReflectionService(transport::OpenCalls* open_calls, std::vector<std::string> services);

  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
  Response Answer(const Request& request) const;

 private:
  Reactor* Begin(grpc::CallbackServerContext* context);

  transport::OpenCalls* const open_calls_;
  const std::vector<std::string> services_;
};

}  // namespace varserve::rpc
