#include "client/cli/console.h"

#include <google/protobuf/util/json_util.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {
namespace {

int TerminalWidth() {
  constexpr int kDefault = 80;
  if (winsize size; ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  int width = 0;
  return columns != nullptr && absl::SimpleAtoi(columns, &width) && width > 0 ? width : kDefault;
}

}  // namespace

Console Console::Standard() {
  return {.out = std::cout,
          .err = std::cerr,
          .out_is_terminal = isatty(STDOUT_FILENO) == 1,
          .err_is_terminal = isatty(STDERR_FILENO) == 1,
          .width = TerminalWidth()};
}

void Console::Stream(absl::string_view text) {
  out << (out_is_terminal ? Printable(text) : std::string(text)) << std::flush;
}

void Console::JsonLine(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails for google.protobuf.Any of an unknown type only, which the API does not have.
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (status.ok()) out << json << "\n" << std::flush;
}

}  // namespace varserve::cli
