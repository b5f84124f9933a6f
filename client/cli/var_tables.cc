#include "client/cli/var_tables.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/message_fields.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {
namespace {

using Row = std::vector<std::string>;

std::string Percent(double share) { return absl::StrFormat("%.2f %%", 100 * share); }
std::string Number(double value) { return absl::StrFormat("%.2f", value); }

// Where two answers part.
std::string Difference(const ComparedAnswer& first, const ComparedAnswer& other) {
  const auto [at, end] = std::mismatch(first.token_ids.begin(), first.token_ids.end(),
                                       other.token_ids.begin(), other.token_ids.end());
  if (at == first.token_ids.end() && end == other.token_ids.end()) return "same";
  return absl::StrCat("from token ", at - first.token_ids.begin() + 1);
}

std::string FormatTotals(const v1::VarReport& report) {
  const v1::VarOptions& setting = report.effective();
  const std::string heading = absl::StrFormat(
      "VAR %s (%s): tau %g, rho %g, p %g, min. visual attention %g, layers %d to %d\n",
      EnumName(setting.mode()), EnumName(setting.variant()), setting.tau(), setting.rho(), setting.p(),
      setting.min_visual_attention(), setting.first_layer(), setting.last_layer());
  return absl::StrCat(heading,
                      FormatTable({{"rows per layer", absl::StrCat(report.eligible_rows())},
                                   {"visual sinks per layer", Number(report.visual_sink_tokens())},
                                   {"text sinks per layer", Number(report.text_sink_tokens())},
                                   {"distinct visual sinks", absl::StrCat(report.distinct_visual_sinks())},
                                   {"image-centric heads", Percent(report.image_centric_head_ratio())},
                                   {"redistributed attention", Percent(report.redistributed_attention())},
                                   {"visual attention before", Percent(report.visual_attention_before())},
                                   {"visual attention after", Percent(report.visual_attention_after())}}));
}

std::string FormatLayers(const v1::VarReport& report) {
  if (report.layers().empty()) return "";
  std::vector<Row> rows = {{"layer", "visual sinks", "text sinks", "image-centric", "redistributed",
                            "visual before", "visual after"}};
  for (const v1::LayerReport& layer : report.layers()) {
    rows.push_back({absl::StrCat(layer.layer()), absl::StrCat(layer.visual_sink_tokens()),
                    absl::StrCat(layer.text_sink_tokens()), Percent(layer.image_centric_head_ratio()),
                    Percent(layer.redistributed_attention()), Percent(layer.visual_attention_before()),
                    Percent(layer.visual_attention_after())});
  }
  return FormatTable(rows);
}

std::string FormatTokens(const v1::VarReport& report) {
  if (report.tokens().empty()) return "";
  std::vector<Row> rows = {
      {"position", "text", "image-centric", "redistributed", "visual before", "visual after"}};
  for (const v1::TokenReport& token : report.tokens()) {
    rows.push_back({absl::StrCat(token.position()), absl::StrCat("\"", PrintableLine(token.text()), "\""),
                    Percent(token.image_centric_head_ratio()), Percent(token.redistributed_attention()),
                    Percent(token.visual_attention_before()), Percent(token.visual_attention_after())});
  }
  return FormatTable(rows);
}

// "alpha 0.2, first layer 2, ..": all of a message's numbers.
std::string Knobs(const google::protobuf::Message& options) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  options.GetReflection()->ListFields(options, &fields);
  std::vector<std::string> knobs;
  for (const google::protobuf::FieldDescriptor* field : fields) {
    const std::string name = absl::StrReplaceAll(field->name(), {{"_", " "}});
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_FLOAT)
      knobs.push_back(absl::StrFormat("%s %g", name, options.GetReflection()->GetFloat(options, field)));
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32)
      knobs.push_back(absl::StrCat(name, " ", options.GetReflection()->GetUInt32(options, field)));
  }
  return absl::StrJoin(knobs, ", ");
}

ReportTables FormatIntervention(const v1::InterventionReport& report) {
  ReportTables tables;
  const google::protobuf::Reflection& reflection = *report.effective().GetReflection();
  const auto* method =
      reflection.GetOneofFieldDescriptor(report.effective(), v1::Intervention::descriptor()->oneof_decl(0));
  if (method != nullptr) {
    tables.totals = absl::StrCat(absl::AsciiStrToUpper(method->name()), ": ",
                                 Knobs(reflection.GetMessage(report.effective(), method)), "\n");
  }
  absl::StrAppend(&tables.totals,
                  FormatTable({{"rows per layer", absl::StrCat(report.rows())},
                               {"changed heads", Percent(report.changed_head_ratio())},
                               {"visual attention before", Percent(report.visual_attention_before())},
                               {"visual attention after", Percent(report.visual_attention_after())}}));
  std::vector<Row> layers = {{"layer", "changed heads", "visual before", "visual after"}};
  for (const v1::LayerAttention& layer : report.layers()) {
    layers.push_back({absl::StrCat(layer.layer()), Percent(layer.changed_head_ratio()),
                      Percent(layer.visual_attention_before()), Percent(layer.visual_attention_after())});
  }
  if (layers.size() > 1) tables.layers = FormatTable(layers);
  std::vector<Row> tokens = {{"position", "text", "changed heads", "visual before", "visual after"}};
  for (const v1::TokenAttention& token : report.tokens()) {
    tokens.push_back({absl::StrCat(token.position()), absl::StrCat("\"", PrintableLine(token.text()), "\""),
                      Percent(token.changed_head_ratio()), Percent(token.visual_attention_before()),
                      Percent(token.visual_attention_after())});
  }
  if (tokens.size() > 1) tables.tokens = FormatTable(tokens);
  return tables;
}

std::string FormatContrast(const v1::ContrastReport& report) {
  return FormatTable(
      {{"sibling's prompt", absl::StrFormat("%d tokens, %d cached", report.sibling_prompt_tokens(),
                                            report.sibling_cached_tokens())},
       {"contrasted tokens", absl::StrCat(report.contrasted_tokens(), " of ", report.tokens())},
       {"changed tokens", absl::StrCat(report.changed_tokens())},
       {"plausible tokens", Number(report.plausible_tokens())}});
}

ReportTables FormatAttention(const v1::Finished& finished) {
  if (finished.has_intervention_report()) return FormatIntervention(finished.intervention_report());
  if (!finished.has_var_report()) return {};
  const v1::VarReport& report = finished.var_report();
  return {FormatTotals(report), FormatLayers(report), FormatTokens(report)};
}

}  // namespace

ReportTables FormatReport(const v1::Finished& finished) {
  ReportTables tables = FormatAttention(finished);
  if (finished.has_contrast_report())
    absl::StrAppend(&tables.totals, FormatContrast(finished.contrast_report()));
  return tables;
}

std::string FormatComparison(const std::vector<ComparedAnswer>& answers) {
  const bool others = std::any_of(answers.begin(), answers.end(), [](const ComparedAnswer& answer) {
    return answer.finished.has_intervention_report();
  });
  const bool contrasts = std::any_of(answers.begin(), answers.end(), [](const ComparedAnswer& answer) {
    return answer.finished.has_contrast_report();
  });
  std::vector<Row> rows(11);
  rows[0] = {"setting"};
  rows[1] = {"answer"};
  rows[2] = {"generated tokens"};
  rows[3] = {"finish reason"};
  rows[4] = {"visual sinks per layer"};
  rows[5] = {"text sinks per layer"};
  rows[6] = {"distinct visual sinks"};
  rows[7] = {"image-centric heads"};
  rows[8] = {"redistributed attention"};
  rows[9] = {"visual attention before"};
  rows[10] = {"visual attention after"};
  Row changed_heads = {"changed heads"};
  Row changed_tokens = {"changed tokens"};
  for (const ComparedAnswer& answer : answers) {
    const v1::VarReport& report = answer.finished.var_report();
    const auto measured = [&](const std::string& text) {
      return answer.finished.has_var_report() ? text : "-";
    };
    rows[0].push_back(answer.label);
    rows[1].push_back(&answer == &answers.front() ? "-" : Difference(answers.front(), answer));
    rows[2].push_back(absl::StrCat(answer.finished.usage().generated_tokens()));
    rows[3].push_back(EnumName(answer.finished.finish_reason()));
    rows[4].push_back(measured(Number(report.visual_sink_tokens())));
    rows[5].push_back(measured(Number(report.text_sink_tokens())));
    rows[6].push_back(measured(absl::StrCat(report.distinct_visual_sinks())));
    rows[7].push_back(measured(Percent(report.image_centric_head_ratio())));
    rows[8].push_back(measured(Percent(report.redistributed_attention())));
    const bool other = answer.finished.has_intervention_report();
    const v1::InterventionReport& other_report = answer.finished.intervention_report();
    rows[9].push_back(other ? Percent(other_report.visual_attention_before())
                            : measured(Percent(report.visual_attention_before())));
    rows[10].push_back(other ? Percent(other_report.visual_attention_after())
                             : measured(Percent(report.visual_attention_after())));
    changed_heads.push_back(other ? Percent(other_report.changed_head_ratio()) : "-");
    changed_tokens.push_back(answer.finished.has_contrast_report()
                                 ? absl::StrCat(answer.finished.contrast_report().changed_tokens())
                                 : "-");
  }
  if (others) rows.push_back(changed_heads);
  if (contrasts) rows.push_back(changed_tokens);
  return FormatTable(rows);
}

std::string FormatUsage(const v1::Finished& finished) {
  const v1::Usage& usage = finished.usage();
  const v1::Timing& timing = finished.timing();
  return absl::StrFormat(
      "%d tokens in %.2f s, the first after %.2f s; prompt %d tokens, %d visual, %d cached\n",
      usage.generated_tokens(), timing.total_seconds(), timing.first_token_seconds(), usage.prompt_tokens(),
      usage.visual_tokens(), usage.cached_tokens());
}

}  // namespace varserve::cli
