#include "client/cli/help_format.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {

std::string HelpFormat::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  return absl::StrReplaceAll(Formatter::make_help(app, std::move(name), mode), {{"\n\n\n", "\n\n"}});
}

std::string HelpFormat::make_option(const CLI::Option* option, bool is_positional) const {
  std::string text = absl::StrCat("  ", make_option_name(option, is_positional), make_option_opts(option));
  if (text.size() + 1 > kColumn) {
    absl::StrAppend(&text, "\n", std::string(kColumn, ' '));
  } else {
    text.resize(kColumn, ' ');
  }
  bool first = true;
  for (const std::string& line : Wrap(make_option_desc(option), std::max(width_ - kColumn, 40))) {
    absl::StrAppend(&text, first ? "" : std::string(kColumn, ' '), line, "\n");
    first = false;
  }
  return text;
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  std::string text;
  if (!option->get_type_name().empty()) absl::StrAppend(&text, " ", option->get_type_name());
  if (!option->get_default_str().empty()) absl::StrAppend(&text, " [", option->get_default_str(), "]");
  if (!option->get_envname().empty()) absl::StrAppend(&text, " ($", option->get_envname(), ")");
  return text;
}

std::string HelpFormat::make_option_usage(const CLI::Option* option) const {
  const std::string name = make_option_name(option, /*is_positional=*/true);
  return option->get_required() ? name : absl::StrCat("[", name, "]");
}

}  // namespace varserve::cli
