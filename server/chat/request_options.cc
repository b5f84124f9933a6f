#include "server/chat/request_options.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/field_range.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

constexpr size_t kMaxStopBytes = 256;
constexpr uint32_t kMaxLogprobs = 20;

}  // namespace

absl::StatusOr<SamplingRequest> ReadGenerateOptions(const v1::GenerateOptions& o, int vocabulary,
                                                    uint64_t random_seed) {
  SamplingRequest request;
  engine::SamplingParams& p = request.params;
  if (o.has_max_tokens()) {
    if (o.max_tokens() < 1) return absl::InvalidArgumentError("max_tokens: 0 is not at least 1");
    p.max_tokens = static_cast<int>(std::min<uint32_t>(o.max_tokens(), 1U << 30));
  }
  if (o.has_temperature()) {
    RETURN_IF_ERROR(CheckRange("temperature", o.temperature(), 0, 5));
    p.temperature = o.temperature();
  }
  if (o.has_top_p()) {
    RETURN_IF_ERROR(CheckRange("top_p", o.top_p(), 0, 1, /*open_low=*/true));
    p.top_p = o.top_p();
  }
  if (o.has_top_k()) {
    RETURN_IF_ERROR(CheckRange("top_k", o.top_k(), 0, vocabulary));
    p.top_k = static_cast<int>(o.top_k());
  }
  if (o.has_repetition_penalty()) {
    RETURN_IF_ERROR(CheckRange("repetition_penalty", o.repetition_penalty(), 0.01, 10));
    p.repetition_penalty = o.repetition_penalty();
  }
  if (o.has_logprobs()) {
    RETURN_IF_ERROR(CheckRange("logprobs", o.logprobs(), 0, kMaxLogprobs));
    p.logprobs = static_cast<int>(o.logprobs());
  }
  p.seed = o.has_seed() ? o.seed() : random_seed;
  p.ignore_eos = o.ignore_eos();
  RETURN_IF_ERROR(CheckRange("stop: their number", o.stop_size(), 0, kMaxStopStrings));
  for (int i = 0; i < o.stop_size(); ++i) {
    RETURN_IF_ERROR(CheckRange(absl::StrCat("stop[", i, "]: its size"), static_cast<double>(o.stop(i).size()),
                               1, static_cast<double>(kMaxStopBytes)));
    request.stop.push_back(o.stop(i));
  }
  return request;
}

}  // namespace varserve::chat
