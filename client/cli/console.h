// Where a command's words go, and what they look like there. Tests give it string streams.
#pragma once

#include <google/protobuf/message.h>

#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace varserve::cli {

struct Console {
  std::ostream& out;  // answers
  std::ostream& err;  // everything about them
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int width = 80;

  // Of this process.
  static Console Standard();

  // Model's text, at once; on a terminal without what could steer it.
  void Stream(absl::string_view text);
  // One line: protobuf's JSON with the proto's field names, zeros included.
  void JsonLine(const google::protobuf::Message& message);
};

}  // namespace varserve::cli
