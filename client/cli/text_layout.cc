#include "client/cli/text_layout.h"

#include <wchar.h>

#include <algorithm>
#include <clocale>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace varserve::cli {
namespace {

constexpr int kNarrowestColumn = 16;
constexpr absl::string_view kReplacement = "\uFFFD";
constexpr absl::string_view kGutter = " | ";

// Has libc report characters and widths, on this thread and while it lives, of UTF-8 whatever the environment
// says.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) previous_ = uselocale(locale_);
  }
  ~Utf8Locale() {
    if (locale_ == nullptr) return;
    uselocale(previous_);
    freelocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  const locale_t locale_;
  locale_t previous_ = nullptr;
};

struct Character {
  absl::string_view bytes;
  int width;     // 0 for what cannot be printed
  bool control;  // or not UTF-8
  bool valid;    // UTF-8
};

std::vector<Character> Characters(absl::string_view text) {
  const Utf8Locale locale;
  std::vector<Character> characters;
  while (!text.empty()) {
    wchar_t code = 0;
    mbstate_t state = {};
    const size_t size = std::mbrtowc(&code, text.data(), text.size(), &state);  // 0: NUL; the errors are huge
    const bool valid = size <= text.size() && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    const int width = valid && size > 0 ? wcwidth(code) : -1;
    characters.push_back(
        {text.substr(0, valid ? std::max<size_t>(size, 1) : 1), std::max(width, 0), width < 0, valid});
    text.remove_prefix(characters.back().bytes.size());
  }
  return characters;
}

// Breaks a word that is wider than a line.
void AppendLongWord(absl::string_view word, int width, std::vector<std::string>& lines, int& used) {
  for (const Character& c : Characters(word)) {
    if (used > 0 && used + c.width > width) {
      lines.emplace_back();
      used = 0;
    }
    absl::StrAppend(&lines.back(), c.bytes);
    used += c.width;
  }
}

std::string Padding(int places) { return std::string(std::max(places, 0), ' '); }

std::string TrimRight(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  const std::vector<Character> characters = Characters(text);
  return std::all_of(characters.begin(), characters.end(), [](const Character& c) { return c.valid; });
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  for (const Character& c : Characters(text)) width += c.width;
  return width;
}

std::string Printable(absl::string_view text) {
  std::string printable;
  for (const Character& c : Characters(text)) {
    const bool keep = !c.control || c.bytes == "\n" || c.bytes == "\t";
    absl::StrAppend(&printable, keep ? c.bytes : kReplacement);
  }
  return printable;
}

std::string PrintableLine(absl::string_view text) {
  return absl::StrReplaceAll(Printable(text), {{"\n", "\\n"}, {"\t", "\\t"}});
}

std::vector<std::string> Wrap(absl::string_view text, int width) {
  std::vector<std::string> lines;
  for (const absl::string_view paragraph : absl::StrSplit(text, '\n')) {
    lines.emplace_back();
    int used = 0;
    for (const absl::string_view word :
         absl::StrSplit(paragraph, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
      const int word_width = DisplayWidth(word);
      if (used > 0 && used + 1 + word_width > width) {
        lines.emplace_back();
        used = 0;
      } else if (used > 0) {
        lines.back() += ' ';
        ++used;
      }
      AppendLongWord(word, width, lines, used);
    }
  }
  return lines;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<int> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string table;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding = Padding(widths[i] - DisplayWidth(row[i]));
      absl::StrAppend(&line, i == 0 ? row[i] : padding, i == 0 ? padding : row[i],
                      i + 1 < row.size() ? "  " : "");
    }
    absl::StrAppend(&table, TrimRight(std::move(line)), "\n");
  }
  return table;
}

std::string FormatColumns(const std::vector<std::string>& titles, const std::vector<std::string>& texts,
                          int width) {
  const int columns = static_cast<int>(titles.size());
  const int gutter = static_cast<int>(kGutter.size());
  const int column_width = (width - (columns - 1) * gutter) / std::max(columns, 1);
  std::string result;
  if (column_width < kNarrowestColumn) {
    for (int i = 0; i < columns; ++i) {
      absl::StrAppend(&result, i > 0 ? "\n" : "", titles[i], "\n");
      for (const std::string& line : Wrap(texts[i], std::max(width - 2, 1))) {
        absl::StrAppend(&result, TrimRight(absl::StrCat("  ", line)), "\n");
      }
    }
    return result;
  }

  std::vector<std::vector<std::string>> cells;  // of each column: its title's lines, a rule, its text's lines
  size_t title_height = 0;
  for (const std::string& title : titles) {
    title_height = std::max(title_height, cells.emplace_back(Wrap(title, column_width)).size());
  }
  size_t height = 0;
  for (int i = 0; i < columns; ++i) {
    cells[i].resize(title_height);
    cells[i].push_back(std::string(column_width, '-'));
    for (std::string& line : Wrap(texts[i], column_width)) cells[i].push_back(std::move(line));
    height = std::max(height, cells[i].size());
  }
  for (size_t row = 0; row < height; ++row) {
    std::string line;
    for (int i = 0; i < columns; ++i) {
      const std::string cell = row < cells[i].size() ? cells[i][row] : "";
      absl::StrAppend(&line, i > 0 ? kGutter : "", cell, Padding(column_width - DisplayWidth(cell)));
    }
    absl::StrAppend(&result, TrimRight(std::move(line)), "\n");
  }
  return result;
}

}  // namespace varserve::cli
