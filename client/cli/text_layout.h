// Text on a terminal: how wide it is, lines, tables, columns. Text is UTF-8; East Asian characters take two
// places, combining ones none. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace varserve::cli {

// Whether a protobuf string may hold it.
bool IsUtf8(absl::string_view text);

// Places the text takes; control characters and bytes that are not UTF-8 take none.
int DisplayWidth(absl::string_view text);

// A model's words with nothing in them that could steer the terminal: control characters and bytes that are
// not UTF-8 become a replacement character, except line ends and tabs.
std::string Printable(absl::string_view text);
// The same for a table's cell: line ends and tabs become \n and \t.
std::string PrintableLine(absl::string_view text);

// Lines of at most `width` places, broken at spaces where possible. At least one line.
std::vector<std::string> Wrap(absl::string_view text, int width);

// Columns as wide as their widest cell, the first flush left, the others right, two spaces between; the first
// row is the header. Every line ends with \n.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// One column per text, under its title, all together at most `width` places; where columns would get too
// narrow to read, one below the other.
std::string FormatColumns(const std::vector<std::string>& titles, const std::vector<std::string>& texts,
                          int width);

}  // namespace varserve::cli
