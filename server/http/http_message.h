// Replies as HTTP/1.1 writes them. Thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace varserve::http {

inline constexpr unsigned kHttp11 = 11;  // as Beast numbers versions

struct ReplyHead {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  bool keep_alive = true;
};

// A reply with a body of JSON.
std::string JsonReply(const ReplyHead& head, std::string body);

// A reply in pieces: server-sent events.
std::string StreamHead(const ReplyHead& head);
std::string StreamPiece(absl::string_view text);
std::string StreamEnd();

// What a client that asks for it waits for before it sends the body.
std::string ContinueReply();

}  // namespace varserve::http
