#include "client/commands/compare.h"

#include "absl/strings/str_cat.h"
#include "client/cli/text_layout.h"
#include "client/cli/var_tables.h"

namespace varserve::cli {

CompareCommand::CompareCommand(CLI::App& program)
    : Command(program, "compare", "Answer a question with several VAR settings, side by side"),
      input_(app()),
      generate_(app()) {
  app()
      .add_option("--setting", settings_,
                  "off, observe or on, then fields of VarOptions, as in on,rho=0.5,first_layer=4. Can be "
                  "given several times. Default: off and on")
      ->type_name("MODE,KEY=VALUE,...")
      ->allow_extra_args(false)
      ->group("Visual Attention Redistribution");
  AddVerboseFlag();
  AddConnectionFlags();
}

absl::Status CompareCommand::Prepare() {
  for (const std::string& setting : settings_) {
    absl::StatusOr<v1::VarOptions> options = ParseVarSetting(setting, output().json, output().verbose);
    if (!options.ok()) return options.status();
    *request_.add_settings() = *std::move(options);
  }
  if (absl::Status status = input_.Read(); !status.ok()) return status;
  for (size_t i = 0; i < input_.paths().size(); ++i)
    AddFile(absl::StrCat("request.messages[0].parts[", i, "].image"), input_.paths()[i]);
  *request_.mutable_request()->add_messages() = input_.message();
  *request_.mutable_request()->mutable_options() = generate_.options();
  return absl::OkStatus();
}

absl::Status CompareCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                                 Console& console) {
  std::vector<ComparedAnswer> answers(settings_.size());
  const auto finished = client.Compare(request_, options, [&](const v1::CompareResponse& response) {
    if (output().json) console.JsonLine(response);
    if (!console.out.good()) return false;
    if (!response.response().has_delta() || response.setting() >= answers.size()) return true;
    std::vector<uint32_t>& ids = answers[response.setting()].token_ids;
    ids.insert(ids.end(), response.response().delta().token_ids().begin(),
               response.response().delta().token_ids().end());
    return true;
  });
  if (!finished.ok() || output().json) return finished.status();

  std::vector<std::string> texts;
  for (size_t i = 0; i < answers.size(); ++i) {
    answers[i].label = settings_[i];
    answers[i].finished = (*finished)[i];
    texts.push_back(Printable(answers[i].finished.text()));
  }
  console.out << FormatColumns(settings_, texts, console.width) << "\n" << FormatComparison(answers);
  if (!output().verbose) return absl::OkStatus();
  for (const ComparedAnswer& answer : answers) {
    console.out << "\n" << answer.label << ": " << FormatUsage(answer.finished);
    if (answer.finished.has_var_report()) {
      const v1::VarReport& report = answer.finished.var_report();
      console.out << FormatTotals(report) << FormatLayers(report) << FormatTokens(report);
    }
  }
  return absl::OkStatus();
}

}  // namespace varserve::cli
