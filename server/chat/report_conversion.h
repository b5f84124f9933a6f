// The engine's VarReport as the message of the API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/base/prompt.h"
#include "server/engine/var_report.h"
#include "server/text/tokenizer.h"
#include "varserve/v1/var.pb.h"

namespace varserve::chat {

struct ReportContext {
  const Prompt& prompt;
  const std::vector<int32_t>& generated;  // token ids
  const text::Tokenizer& tokenizer;
  const v1::VarOptions& effective;
  int64_t max_map_bytes = 0;
  size_t max_bytes = 0;  // of everything else
};

v1::VarReport ToProto(const engine::VarReport& report, const ReportContext& context);

}  // namespace varserve::chat
