// Decides what runs: which waiting sequence is admitted, what the next step computes, what its result means.
// Pure policy over plain data: no thread, no clock, no model. Engine thread only.
//
// Callers take turns at admission (admission_queue.h). A sequence gets all KV blocks it can ever need, so
// that one that runs never waits for memory; where they are missing, smaller ones may pass it, for a while. A
// sequence whose next missing prefix block is just being computed by another one steps aside until the block
// is there or given up.
//
// A step decodes the running sequences that are past their prefill, of several callers each one's part
// (decode_turns.h), and spends `prefill_budget` tokens, or `idle_prefill_budget` where none decodes, on
// chunks of prefill (prefill_turns.h).
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
  int max_running = 64;            // sequences, at least 1
  int max_running_per_caller = 0;  // of a caller with a name; 0: no limit of its own
  // So many sequences beyond max_running, and so many blocks of the pool, are for callers who have none
  // running: they find a place beside one who takes all he can get.
  int reserved_running = 0;
  int reserved_blocks = 0;
  std::optional<int> prefill_budget;       // tokens per step; not set: ModelFacts::prefill_chunk
  std::optional<int> idle_prefill_budget;  // the same where no sequence decodes; not set: no other
  std::optional<int> prefix_cache_blocks;  // most blocks kept for later requests; not set: all that are free
};

// What a step brought its sequence.
struct Progress {
  std::optional<Token> token;          // the next token of the answer
  std::optional<FinishReason> finish;  // the answer is complete, with `token` if there is one
};

class Scheduler {
 public:
  // `facts` must outlive the scheduler.
  Scheduler(const SchedulerOptions& options, const ModelFacts& facts);

  // Appends to the queue. REQUIRES: num_blocks() of it are no more than the pool has.
  void Add(std::unique_ptr<Sequence> sequence);

  // Moves what may run from the queue to the running sequences; returns it in order. Never leaves sequences
  // waiting while nothing runs.
  std::vector<const Sequence*> Admit();

  // The next step; valid until the next call of a method that is not const.
  StepPlan Plan();

  // Takes in the result of one step of the last plan. Steps of one sequence come in order. After an error
  // nothing of the sequence may be used any more.
  absl::StatusOr<Progress> Apply(const SequenceStep& step, SequenceResult result);

  // On the evidence of a running sequence, all its maps included. REQUIRES: it has an intervention.
  std::unique_ptr<const interventions::Report> Report(SequenceId id);

  // Ends a sequence, waiting or running, and frees its blocks; their content stays findable, or, if it must
  // not be trusted, is forgotten.
  enum class BlockContent { kValid, kSuspect };
  void Remove(SequenceId id, BlockContent content);

  // Blocks of no use until they are cleared, and that they were.
  const std::vector<BlockId>& tainted() const { return pool_.tainted(); }
  void OnCleared() { pool_.OnCleared(); }

  // Null where there is no such sequence.
  const Sequence* Find(SequenceId id) const;
  const std::deque<Sequence*>& waiting() const { return queue_.waiting(); }  // in order of arrival
  const std::vector<Sequence*>& running() const { return running_; }         // in order of admission
  const KvBlockPool& pool() const { return pool_; }

 private:
  enum class Admission { kAdmitted, kPrefixPending, kNoMemory };
  Admission TryAdmit(Sequence& sequence);
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
