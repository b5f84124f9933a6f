// A command against a server in this process, from its arguments to its exit code. Thread-compatible.
#pragma once

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/run_command.h"
#include "tests/testing/temp_dir.h"
#include "tests/unit/client/fake_server.h"

namespace varserve::cli {

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() : picture_(Path("jpg")) {
    std::ofstream(picture_, std::ios::binary) << "picture";
    program_.require_subcommand(1);
  }

  // A name for a file of this test.
  std::string Path(const std::string& suffix) const { return absl::StrCat(dir_.path(), "/test.", suffix); }

  // As `varserve ARGUMENTS...` does; the exit code.
  template <typename SomeCommand>
  int Run(std::vector<std::string> arguments) {
    return Run<SomeCommand>(std::move(arguments), {.out = out_, .err = err_, .width = 60});
  }

  template <typename SomeCommand>
  int Run(std::vector<std::string> arguments, Console console) {
    program_.clear();
    SomeCommand command(program_);
    if (std::find(arguments.begin(), arguments.end(), "--address") == arguments.end())
      arguments.insert(arguments.end(), {"--address", server_.address()});
    std::reverse(arguments.begin(), arguments.end());
    ExitCode code = kExitUsage;
    try {
      program_.parse(arguments);
      code = RunCommand(command, cancellation_, console);
    } catch (const CLI::ParseError& error) {
      err_ << error.what();
    }
    program_.remove_subcommand(program_.get_subcommand(command.name()));
    return code;
  }

  const varserve::testing::TempDir dir_;
  const std::string picture_;
  CLI::App program_;
  client::FakeServer server_;
  client::Cancellation cancellation_;
  std::ostringstream out_;
  std::ostringstream err_;
};

inline v1::GenerateResponse FinishedWithReport(const std::string& text) {
  v1::GenerateResponse response = client::Finished(text);
  v1::VarReport& report = *response.mutable_finished()->mutable_var_report();
  report.mutable_effective()->set_mode(v1::VAR_MODE_ON);
  report.mutable_effective()->set_variant(v1::VAR_VARIANT_PAPER);
  report.mutable_effective()->set_rho(0.5F);
  report.set_redistributed_attention(0.125F);
  v1::LayerReport& layer = *report.add_layers();
  layer.set_layer(7);
  layer.set_visual_sink_tokens(12);
  return response;
}

}  // namespace varserve::cli
