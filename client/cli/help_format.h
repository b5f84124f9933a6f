// What --help looks like: names as a reader types them, descriptions wrapped. Thread-compatible.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Formatter.hpp>
#include <string>

namespace varserve::cli {

class HelpFormat : public CLI::Formatter {
 public:
  explicit HelpFormat(int width) : width_(width) { column_width(kColumn); }

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_usage(const CLI::Option* option) const override;

 private:
  static constexpr int kColumn = 28;  // where descriptions begin
  const int width_;
};

}  // namespace varserve::cli
