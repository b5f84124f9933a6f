// Reads a call's metadata from gRPC, and writes it back. Thread-safe.
#pragma once

#include <grpcpp/server_context.h>

#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/grpc/call_reactor.h"

namespace varserve::rpc {

// The caller's name is its address.
chat::CallMetadata ReadMetadata(const grpc::CallbackServerContext& context, const Clock& clock);
// Request id and traceparent, as returned to the caller.
CallReactor::Metadata ReplyMetadata(const chat::CallMetadata& metadata);

}  // namespace varserve::rpc
