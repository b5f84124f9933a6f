#include "client/cli/answer_output.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text_layout.h"
#include "client/cli/var_tables.h"

namespace varserve::cli {
namespace {

std::string FormatLogprobs(const std::vector<v1::TokenLogprob>& logprobs) {
  std::vector<std::vector<std::string>> rows = {{"token id", "log-probability", "most probable"}};
  for (const v1::TokenLogprob& token : logprobs) {
    std::vector<std::string>& row = rows.emplace_back();
    row = {absl::StrCat(token.token_id()), absl::StrFormat("%.3f", token.logprob())};
    for (const v1::TokenLogprob::Alternative& alternative : token.top()) {
      row.push_back(absl::StrFormat("\"%s\" %.3f", PrintableLine(alternative.text()), alternative.logprob()));
    }
  }
  return FormatTable(rows);
}

}  // namespace

AnswerOutput::~AnswerOutput() {
  if (in_line_) console_.Stream("\n");
}

bool AnswerOutput::Add(const v1::GenerateResponse& response) {
  flags_.json ? console_.JsonLine(response) : AddText(response);
  return console_.out.good();
}

void AnswerOutput::AddText(const v1::GenerateResponse& response) {
  switch (response.event_case()) {
    case v1::GenerateResponse::kStarted:
      if (flags_.verbose) {
        console_.err << absl::StrFormat("request %s, model %s\n",
                                        PrintableLine(response.started().request_id()),
                                        PrintableLine(response.started().model()));
      }
      break;
    case v1::GenerateResponse::kDelta:
      console_.Stream(response.delta().text());
      in_line_ = true;
      logprobs_.insert(logprobs_.end(), response.delta().logprobs().begin(),
                       response.delta().logprobs().end());
      break;
    case v1::GenerateResponse::kFinished:
      Finish(response.finished());
      break;
    case v1::GenerateResponse::EVENT_NOT_SET:
      break;
  }
}

void AnswerOutput::Finish(const v1::Finished& finished) {
  console_.Stream("\n");
  in_line_ = false;
  if (!logprobs_.empty()) console_.err << "\n" << FormatLogprobs(logprobs_);
  const ReportTables tables = FormatReport(finished);
  if (!tables.totals.empty()) console_.err << "\n" << tables.totals;
  if (!tables.layers.empty() && (console_.err_is_terminal || flags_.verbose))
    console_.err << "\n" << tables.layers;
  if (!tables.tokens.empty()) console_.err << "\n" << tables.tokens;  // none unless they were asked for
  if (flags_.verbose) console_.err << "\n" << FormatUsage(finished);
}

}  // namespace varserve::cli
