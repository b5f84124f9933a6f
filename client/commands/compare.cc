#include "client/commands/compare.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cli/text_layout.h"
#include "client/cli/var_tables.h"

namespace varserve::cli {

CompareCommand::CompareCommand(CLI::App& program)
    : Command(program, "compare", "Answer a question under several settings, side by side"),
      input_(app()),
      generate_(app()) {
  app()
      .add_option(
          "--setting", settings_,
          absl::StrCat("VAR off, observe or on, then fields of VarOptions: on,rho=0.5,first_layer=4; or "
                       "another method (",
                       OtherMethods(),
                       "), then its: pai,alpha=0.3; or both: on+vcd,alpha=0.5. "
                       "Can be given up to 8 times. Default: off and on"))
      ->type_name("MODE,KEY=VALUE,...")
      ->allow_extra_args(false)
      ->group("Interventions");
  AddVerboseFlag();
  AddConnectionFlags();
}

absl::Status CompareCommand::Prepare() {
  for (const std::string& setting : settings_) {
    absl::StatusOr<v1::Intervention> options = ParseSetting(setting);
    absl::Status status = options.status();
    if (status.ok() && options->has_var()) status = CheckEffect(options->var(), output().json);
    if (!status.ok())
      return absl::InvalidArgumentError(absl::StrCat("--setting ", setting, ": ", status.message()));
    *request_.add_interventions() = *std::move(options);
  }
  const auto is_var = [](const v1::Intervention& setting) {
    return setting.has_var() && setting.contrast_case() == v1::Intervention::CONTRAST_NOT_SET;
  };
  if (std::all_of(request_.interventions().begin(), request_.interventions().end(), is_var)) {
    // The field that every server knows.
    for (const v1::Intervention& setting : request_.interventions()) *request_.add_settings() = setting.var();
    request_.clear_interventions();
  }
  if (absl::Status status = input_.Read(); !status.ok()) return status;
  *request_.mutable_request()->add_messages() = input_.message();
  for (size_t i = 0; i < input_.files().size(); ++i)
    SetFile(absl::StrCat("request.messages[0].parts[", i, "].image.data"), input_.files()[i]);
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
  for (const ComparedAnswer& answer : answers) {
    const ReportTables tables = FormatReport(answer.finished);
    if (!output().verbose && tables.tokens.empty()) continue;  // none unless they were asked for
    console.out << "\n" << answer.label << ": " << FormatUsage(answer.finished);
    if (output().verbose) console.out << tables.totals << tables.layers;
    console.out << tables.tokens;
  }
  return absl::OkStatus();
}

}  // namespace varserve::cli
