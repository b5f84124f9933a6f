#include "client/commands/explain.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/text_layout.h"
#include "client/explain/report_data.h"
#include "client/explain/report_page.h"

namespace varserve::cli {
namespace {

absl::Status CannotWrite(const std::string& path) {
  return absl::UnknownError(absl::StrCat("--out: ", path, " cannot be written: ", std::strerror(errno)));
}

// Before the calls, which may take minutes. Leaves no trace.
absl::Status CheckWritable(const std::string& path) {
  std::error_code error;
  if (path == "-" || std::filesystem::is_other(path, error)) return absl::OkStatus();  // such as a pipe
  const bool is_there = std::filesystem::exists(path, error);
  errno = 0;
  if (!std::ofstream(path, std::ios::binary | std::ios::app).good()) return CannotWrite(path);
  if (!is_there) std::filesystem::remove(path, error);
  return absl::OkStatus();
}

}  // namespace

ExplainCommand::ExplainCommand(CLI::App& program)
    : Command(program, "explain",
              "Write a page that shows what VAR, or another intervention, did to the answer to a question "
              "about a picture"),
      input_(app()),
      generate_(app()),
      intervention_(app(), VarFlags::Mode::kOn) {
  app()
      .add_option("--out", out_, "HTML file to write, - for standard output")
      ->type_name("FILE")
      ->capture_default_str();
  AddConnectionFlags();
}

absl::Status ExplainCommand::Prepare() {
  if (output().json && app().count("--out") > 0) {
    return absl::InvalidArgumentError("--out: has no effect with --json, which writes to standard output");
  }
  if (absl::Status status = intervention_.Read(output().json); !status.ok()) return status;
  if (absl::Status status = input_.Read(); !status.ok()) return status;
  if (input_.images().size() != 1) return absl::InvalidArgumentError("IMAGE: explain takes one picture");
  SetFile("request.messages[0].parts[0].image.data", input_.files().front());
  request_ = {.image = input_.images().front(),
              .question = input_.question(),
              .generate = generate_.options(),
              .intervention = intervention_.intervention()};
  return absl::OkStatus();
}

absl::Status ExplainCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                                 Console& console) {
  if (absl::Status status = CheckWritable(out_); !output().json && !status.ok()) return status;
  const absl::StatusOr<client::Explanation> explanation = client::Explain(client, options, request_);
  if (!explanation.ok()) return explanation.status();
  const nlohmann::json data = client::ReportData(request_, *explanation);
  if (output().json) {
    console.out << data << "\n";
    return absl::OkStatus();
  }
  const std::string page = client::ReportPage(data);
  if (out_ == "-") {
    console.out << page;
    return absl::OkStatus();
  }
  errno = 0;
  std::ofstream file(out_, std::ios::binary);
  file << page;
  file.close();
  if (!file.good()) return CannotWrite(out_);
  console.out << "off: " << Printable(explanation->off.text())
              << "\non:  " << Printable(explanation->on.text()) << "\nwrote " << out_ << "\n";
  return absl::OkStatus();
}

}  // namespace varserve::cli
