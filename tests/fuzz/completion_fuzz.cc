// Any bytes sent as the body of a chat completion become a conversation and settings within their ranges, or
// are refused with a message that begins with a field.
#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "server/openai/completion_request.h"
#include "server/openai/error_reply.h"
#include "tests/fuzz/request_checks.h"

namespace {

using namespace varserve;        // NOLINT
using namespace varserve::chat;  // NOLINT

v1::Model Model() {
  v1::Model model;
  model.set_name("m");
  model.mutable_var_profile();
  return model;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = (google::protobuf::SetLogHandler(nullptr), true);
  static const v1::Model model = Model();
  if (!quiet) return 0;
  std::string body(reinterpret_cast<const char*>(data), size);
  auto request = openai::ReadCompletion(std::move(body), {.num_layers = kLayers}, model);
  if (!request.ok()) {
    Check(!openai::ErrorBody(request.status()).empty());
    if (!absl::IsNotFound(request.status())) CheckRefusal(request.status());
    return 0;
  }
  Check((*request)->choices >= 1 && (*request)->choices <= kMaxSettings);
  CheckChat(openai::ToChat(std::shared_ptr<openai::CompletionRequest>(*std::move(request))));
  return 0;
}
