// What a caller passes to the engine and what it gets back. Plain data and one interface; no torch, no gRPC.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/prompt.h"
#include "server/interventions/contrast_rule.h"
#include "server/interventions/intervention.h"

namespace varserve::engine {

// Meanings and ranges: see GenerateOptions in proto/varserve/v1/inference.proto. Already validated.
struct SamplingParams {
  int max_tokens = 256;
  float temperature = 0.0F;  // 0: greedy
  float top_p = 1.0F;
  int top_k = 0;  // 0: all
  float repetition_penalty = 1.0F;
  uint64_t seed = 0;
  int logprobs = -1;  // number of alternatives; -1: no log-probabilities
  bool ignore_eos = false;
};

// Contrast decoding: a *sibling*, a second sequence with another prompt, gets the same answer token by token,
// and the rule combines both sequences' logits before a token is chosen. The sibling's attention is plain.
struct Contrast {
  std::shared_ptr<const Prompt> prompt;  // the sibling's
  interventions::ContrastRule rule;
};

struct GenerationRequest {
  std::string id;
  // Limits and turns are per caller. Empty: an unnamed caller, which has no limits.
  std::string caller;
  std::shared_ptr<const Prompt> prompt;
  SamplingParams sampling;
  std::shared_ptr<const interventions::Intervention> intervention;  // null: plain attention
  std::shared_ptr<const Contrast> contrast;                         // null: no sibling
  std::vector<int> map_layers;  // layers averaged in attention maps; empty: no maps
  // No more maps are made once they exceed this, counted as float32 values over the grids: a report exceeds
  // it by at most one map.
  int64_t max_map_bytes = std::numeric_limits<int64_t>::max();
  absl::Time deadline = absl::InfiniteFuture();
  // Its sink may end it. Each token reaches the sink before the next one is computed.
  bool sink_may_stop = false;
};

enum class FinishReason : uint8_t { kStop, kStopString, kLength };

struct Token {
  int32_t id = 0;
  float logprob = 0.0F;                        // only if requested
  std::vector<std::pair<int32_t, float>> top;  // alternatives, most probable first
  interventions::ContrastEvidence contrast;    // only with a contrast
};

struct StartedInfo {
  int cached_tokens = 0;  // leading prompt tokens taken from the prefix cache
  // Leading tokens of the sibling's prompt from the prefix cache, or from the request's own sequence.
  int sibling_cached_tokens = 0;
  absl::Duration queue_time;  // see EngineObserver::OnLeftQueue
};

enum class SinkVerdict : uint8_t { kContinue, kStop };

// Receives one request's output. The engine calls it on its own thread, one call at a time, in the order
// OnStarted OnToken* (OnFinished | OnFailed); OnFailed may also come first. After the last call the engine
// drops its reference. No method may block. An exception ends this request with OnFailed, and no other;
// OnFailed itself must not throw.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  virtual void OnStarted(const StartedInfo& info) = 0;
  // kStop ends the request with FinishReason::kStopString after this token. Without
  // GenerationRequest::sink_may_stop the next token may already be computed: it is dropped, and if computing
  // it fails, the request ends with OnFailed.
  virtual SinkVerdict OnToken(const Token& token) = 0;
  // `report` is null if the request has no intervention.
  virtual void OnFinished(FinishReason reason, std::unique_ptr<const interventions::Report> report) = 0;
  virtual void OnFailed(const absl::Status& status) = 0;
};

}  // namespace varserve::engine
