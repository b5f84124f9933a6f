// A call's metadata, from gRPC and back to it. Thread-safe.
#pragma once

#include <grpcpp/server_context.h>

#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/grpc/call_reactor.h"

namespace varserve::rpc {

// The caller is its address.
chat::CallMetadata ReadMetadata(const grpc::CallbackServerContext& context, const Clock& clock);
// Request id and traceparent, as they go back to the caller.
CallReactor::Metadata ReplyMetadata(const chat::CallMetadata& metadata);

}  // namespace varserve::rpc
