#include "server/http/error_reply.h"

#include <utility>

#include "server/openai/error_reply.h"

namespace varserve::http {

std::string ErrorReply(const absl::Status& error, ReplyHead head) {
  return ErrorReply(error, std::move(head), openai::HttpStatusOf(error));
}

std::string ErrorReply(const absl::Status& error, ReplyHead head, int http_status) {
  head.status = http_status;
  if (http_status == 401) head.headers.emplace_back("WWW-Authenticate", "Bearer");
  return JsonReply(head, openai::ErrorBody(error));
}

}  // namespace varserve::http
