// Reads a call's metadata from gRPC, and writes it back. Thread-safe.
#pragma once

#include <grpcpp/server_context.h>

#include <string>

#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/grpc/call_reactor.h"

namespace varserve::rpc {

// A header of the call; empty if it is not there.
std::string MetadataValue(const grpc::CallbackServerContext& context, const char* key);
// The caller's name is its address.
chat::CallMetadata ReadMetadata(const grpc::CallbackServerContext& context, const Clock& clock);
// Request id and traceparent, as returned to the caller.
CallReactor::Metadata ReplyMetadata(const chat::CallMetadata& metadata);

}  // namespace varserve::rpc
