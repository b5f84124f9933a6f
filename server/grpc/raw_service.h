// A gRPC service whose methods receive a call as soon as its headers arrive, before any message. To gRPC, all
// of them stream in both directions (call_reactor.h). Clients see no difference. Thread-safe.
#pragma once

#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <utility>

namespace varserve::rpc {

class RawService : public grpc::Service {
 protected:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  // `path`: a literal such as "/grpc.health.v1.Health/Check". `begin` runs on one of gRPC's threads and must
  // not block.
  void AddRawMethod(const char* path, std::function<Reactor*(grpc::CallbackServerContext*)> begin) {
    using grpc::internal::RpcMethod;
    AddMethod(new grpc::internal::RpcServiceMethod(path, RpcMethod::BIDI_STREAMING, nullptr));
    MarkMethodRawCallback(
        num_methods_++,
        new grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>(std::move(begin)));
  }

 private:
  int num_methods_ = 0;
};

}  // namespace varserve::rpc
