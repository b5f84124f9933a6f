// Any bytes sent as a request become a conversation and settings within their ranges, or are refused with a
// message that begins with a field.
//
// Input: a byte that says which request it is, the message.
#include <cstddef>
#include <cstdint>

#include "server/grpc/request_parser.h"
#include "tests/fuzz/request_checks.h"

namespace {

using namespace varserve;        // NOLINT
using namespace varserve::chat;  // NOLINT

template <typename Request>
void CheckRequest(const grpc::ByteBuffer& bytes) {
  Request request;
  const RequestLimits limits{.num_layers = kLayers};
  if (const absl::Status status = rpc::ParseRequest(bytes, limits, request); !status.ok())
    return CheckRefusal(status);
  const auto chat = ReadChat(request);
  if (!chat.ok()) return CheckRefusal(chat.status());
  CheckChat(*chat);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = (google::protobuf::SetLogHandler(nullptr), true);
  if (size == 0 || !quiet) return 0;
  const grpc::Slice slice(data + 1, size - 1);
  const grpc::ByteBuffer bytes(&slice, 1);
  switch (data[0] % 4) {
    case 0:
      CheckRequest<v1::AnswerRequest>(bytes);
      break;
    case 1:
      CheckRequest<v1::CaptionRequest>(bytes);
      break;
    case 2:
      CheckRequest<v1::GenerateRequest>(bytes);
      break;
    default:
      CheckRequest<v1::CompareRequest>(bytes);
  }
  return 0;
}
