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

std::string CannotWrite(const std::string& path) {
  return absl::StrCat("--out: cannot write ", path, ": ", std::strerror(errno));
}

// Whether the page can be written, before the minutes it may take to make it.
absl::Status CheckWritable(const std::string& path) {
  std::error_code error;
  if (path == "-" || std::filesystem::is_other(path, error)) return absl::OkStatus();  // such as a pipe
  const bool is_there = std::filesystem::exists(path, error);
  const std::ofstream file(path, std::ios::binary | std::ios::app);  // what is there stays
  if (!file.good()) return absl::InvalidArgumentError(CannotWrite(path));
  if (!is_there) std::filesystem::remove(path, error);
  return absl::OkStatus();
}

}  // namespace

ExplainCommand::ExplainCommand(CLI::App& program)
    : Command(program, "explain",
              "Write an HTML page that shows what VAR changes in the answer to a question about one picture"),
      input_(app()),
      generate_(app()),
      var_(app(), VarFlags::Mode::kFixed) {
  app()
      .add_option("--out", out_, "HTML file to write (- for standard output)")
      ->type_name("FILE")
      ->capture_default_str();
  AddConnectionFlags();
}

absl::Status ExplainCommand::Prepare() {
  if (absl::Status status = input_.Read(); !status.ok()) return status;
  if (input_.images().size() != 1)
    return absl::InvalidArgumentError("IMAGE: explain takes exactly one picture");
  if (absl::Status status = CheckWritable(out_); !output().json && !status.ok()) return status;
  AddFile("request.messages[0].parts[0].image", input_.paths().front());
  request_ = {.image = input_.images().front(),
              .question = input_.question(),
              .generate = generate_.options(),
              .var = var_.options()};
  return absl::OkStatus();
}

absl::Status ExplainCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                                 Console& console) {
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
  std::ofstream file(out_, std::ios::binary);
  file << page;
  file.close();
  if (!file.good()) return absl::UnknownError(CannotWrite(out_));
  console.out << "off: " << Printable(explanation->off.text())
              << "\non:  " << Printable(explanation->on.text()) << "\nwrote " << out_ << "\n";
  return absl::OkStatus();
}

}  // namespace varserve::cli
