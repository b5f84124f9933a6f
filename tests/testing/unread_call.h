// A call whose answer nobody reads, over a connection that takes hardly more than its reader has read:
// whoever writes the answer has to wait. Used by one thread.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <chrono>
#include <memory>
#include <string>

#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::testing {

// A connection of its own.
inline std::unique_ptr<v1::VisionLanguage::Stub> ConnectWithSmallWindow(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::VisionLanguage::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

class UnreadCall {
 public:
  using Time = std::chrono::system_clock::time_point;

  UnreadCall(v1::VisionLanguage::Stub& stub, const v1::AnswerRequest& request)
      : reader_(stub.Answer(&context_, request)) {}
  UnreadCall(v1::VisionLanguage::Stub& stub, const v1::GenerateRequest& request,
             Time deadline = Time::max()) {
    context_.set_deadline(deadline);
    reader_ = stub.Generate(&context_, request);
  }
  // Cancels it if it is not finished.
  ~UnreadCall() {
    if (finished_) return;
    context_.TryCancel();
    Finish();
  }
  UnreadCall(const UnreadCall&) = delete;
  UnreadCall& operator=(const UnreadCall&) = delete;

  // Reads what has come, to the end. To be called once.
  grpc::Status Finish() {
    for (v1::GenerateResponse response; reader_->Read(&response);) {
    }
    finished_ = true;
    return reader_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader_;
  bool finished_ = false;
};

}  // namespace varserve::testing
