// Decides what runs: which waiting sequence is admitted, what the next step computes, and what its result
// means. Pure policy over plain data: no thread, no clock, no model. Engine thread only.
//
// Callers take turns at admission (admission_queue.h). On admission a sequence gets all KV blocks it can ever
// need, so a running sequence never waits for memory. If there are too few blocks, smaller sequences may pass
// it for a while. If another sequence is computing the next prefix block that it needs, it steps aside until
// the block is ready or given up.
//
// A request's sequence and its sibling are admitted together, choose their tokens in the same steps, and end
// together. They count as two rows. The lists below have the requests' sequences, not their siblings.
//
// A step decodes running sequences that have finished prefill, with a share for each caller (decode_turns.h).
// It also spends `prefill_budget` tokens, or `idle_prefill_budget` if nothing decodes, on chunks of prefill
// (prefill_turns.h).
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/admission_queue.h"
#include "server/engine/decode_turns.h"
#include "server/engine/evidence.h"
#include "server/engine/kv_block_pool.h"
#include "server/engine/model_runner.h"
#include "server/engine/prefill_turns.h"
#include "server/engine/sequence.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

struct SchedulerOptions {
  int max_running = 64;            // sequences, siblings included; at least 1
  int max_running_per_caller = 0;  // for a named caller; 0: no separate limit
  // Sequences beyond max_running, and blocks of the pool, that are reserved for callers with none running, so
  // that one caller cannot take everything.
  int reserved_running = 0;
  int reserved_blocks = 0;
  std::optional<int> prefill_budget;       // tokens per step; not set: ModelFacts::prefill_chunk
  std::optional<int> idle_prefill_budget;  // the same if no sequence decodes; not set: prefill_budget
  std::optional<int> prefix_cache_blocks;  // maximum blocks kept for later requests; not set: all free blocks
};

// The outcome of a step for its sequence.
struct Progress {
  std::optional<Token> token;          // the next token of the answer
  std::optional<FinishReason> finish;  // the answer is complete; `token`, if set, is its last
};

class Scheduler {
 public:
  // `facts` must outlive the scheduler.
  Scheduler(const SchedulerOptions& options, const ModelFacts& facts);

  // Appends to the queue. REQUIRES: num_request_blocks() of the sequence does not exceed the pool, nor
  // num_rows() max_running.
  void Add(std::unique_ptr<Sequence> sequence);

  // Admits sequences from the queue and returns them in order. Never leaves sequences waiting while nothing
  // runs.
  std::vector<const Sequence*> Admit();

  // The next step; valid until the next call of a non-const method.
  StepPlan Plan();

  // An image of an earlier plan's encode_ahead is ready. Its sequence may have ended.
  void OnEncoded(const ImageRef& image) { prefill_.OnEncoded(image); }

  // Processes the result of one step of the last plan. Steps of one request must be applied in order. After
  // an error, nothing of the sequence may be used.
  absl::StatusOr<Progress> Apply(const SequenceStep& step, SequenceResult result);

  // The report on a running sequence, including all its maps. REQUIRES: the sequence has an intervention.
  std::unique_ptr<const interventions::Report> Report(SequenceId id);

  // Ends a waiting or running sequence and frees its blocks. Their content can still be found, unless it is
  // suspect.
  enum class BlockContent { kValid, kSuspect };
  void Remove(SequenceId id, BlockContent content);

  // Blocks that must be cleared before use. OnCleared makes them available.
  const std::vector<BlockId>& tainted() const { return pool_.tainted(); }
  void OnCleared() { pool_.OnCleared(); }

  // Null if there is no such sequence. Finds no siblings.
  const Sequence* Find(SequenceId id) const;
  const std::deque<Sequence*>& waiting() const { return queue_.waiting(); }  // in order of arrival
  const std::vector<Sequence*>& running() const { return running_; }         // in order of admission
  const KvBlockPool& pool() const { return pool_; }
  // Running sequences, siblings included.
  int NumRows() const;

 private:
  enum class Admission { kAdmitted, kPrefixPending, kNoMemory };
  // Published blocks that a sequence can take over.
  struct KnownBlocks {
    std::vector<BlockId> blocks;
    int to_revive = 0;              // those that no sequence holds
    std::optional<Digest> pending;  // key of the prefix block after them, if another sequence computes it
  };

  Admission TryAdmit(Sequence& sequence);
  // From block `first` on.
  KnownBlocks FindBlocks(const Sequence& sequence, int first) const;
  // Gives a sequence these leading blocks and as many free ones as it can need.
  void GiveBlocks(Sequence& sequence, std::vector<BlockId> leading);
  void ReleaseBlocks(const Sequence& sequence, BlockContent content);
  void PublishCompleteBlocks(Sequence& sequence);
  absl::Status CheckResult(const SequenceStep& step, const SequenceResult& result) const;

  const ModelFacts& facts_;
  const int max_running_;
  const int reserved_running_;
  const int reserved_blocks_;
  const int prefill_budget_;
  const int idle_prefill_budget_;
  AdmissionQueue queue_;
  DecodeTurns decode_;
  PrefillTurns prefill_;
  KvBlockPool pool_;
  Evidence evidence_;
  absl::flat_hash_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;
};

}  // namespace varserve::engine
