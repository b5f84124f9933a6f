#include "server/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/block_key.h"

namespace varserve::engine {
namespace {

bool MayBeShared(const Sequence& sequence, int block_end) {
  const GenerationRequest& request = sequence.request;
  return request.intervention == nullptr || request.intervention->MayShare(*request.prompt, block_end);
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, const ModelFacts& facts)
    : facts_(facts),
      max_running_(options.max_running),
      reserved_running_(options.reserved_running),
      reserved_blocks_(options.reserved_blocks),
      prefill_budget_(options.prefill_budget.value_or(facts.prefill_chunk)),
      idle_prefill_budget_(options.idle_prefill_budget.value_or(prefill_budget_)),
      queue_(options.max_running_per_caller),
      decode_(options.max_running),
      prefill_(facts.prefill_chunk, facts.encodes_ahead),
      pool_(facts.num_kv_blocks, options.prefix_cache_blocks.value_or(facts.num_kv_blocks)),
      evidence_(facts) {}

void Scheduler::Add(std::unique_ptr<Sequence> sequence) {
  queue_.Add(sequence.get());
  const SequenceId id = sequence->id;
  sequences_.emplace(id, std::move(sequence));
}

std::vector<const Sequence*> Scheduler::Admit() {
  std::vector<const Sequence*> admitted;
  AdmissionQueue::Round round(&queue_);
  while (true) {
    const int rows = NumRows();
    if (rows >= max_running_ + reserved_running_) break;
    if (rows >= max_running_) round.OnlyCallersWithNoneRunning();
    Sequence* const next = round.Next();
    if (next == nullptr) break;
    const int most_rows = max_running_ + (queue_.num_running(*next) == 0 ? reserved_running_ : 0);
    if (rows + next->num_rows() > most_rows) {
      round.Block();
      continue;
    }
    switch (TryAdmit(*next)) {
      case Admission::kAdmitted:
        running_.push_back(next);
        admitted.push_back(next);
        round.Admit();
        break;
      case Admission::kPrefixPending:
        round.StepAside();
        break;
      case Admission::kNoMemory:
        round.Block();
        break;
    }
  }
  return admitted;
}

int Scheduler::NumRows() const {
  int rows = 0;
  for (const Sequence* sequence : running_) rows += sequence->num_rows();
  return rows;
}

Scheduler::KnownBlocks Scheduler::FindBlocks(const Sequence& sequence, int first) const {
  KnownBlocks known;
  for (int block = first; block < sequence.num_shareable_blocks(); ++block) {
    const Digest& key = sequence.block_keys[block];
    const std::optional<BlockId> hit = pool_.Find(key);
    if (!hit) {
      if (block < sequence.num_prefix_blocks() && pool_.IsPending(key)) known.pending = key;
      break;
    }
    known.blocks.push_back(*hit);
    if (pool_.num_holders(*hit) == 0) ++known.to_revive;
  }
  return known;
}

void Scheduler::GiveBlocks(Sequence& sequence, std::vector<BlockId> leading) {
  const int num_leading = static_cast<int>(leading.size());
  for (const BlockId block : leading) pool_.Hold(block);
  sequence.blocks = std::move(leading);
  while (static_cast<int>(sequence.blocks.size()) < sequence.num_blocks())
    sequence.blocks.push_back(pool_.Allocate());
  for (int block = num_leading; block < sequence.num_prefix_blocks(); ++block) {
    pool_.Announce(sequence.block_keys[block], sequence.id);
  }
  sequence.num_published = num_leading;
  sequence.num_cached = sequence.num_computed = sequence.layout.FirstToken(num_leading);
}

Scheduler::Admission Scheduler::TryAdmit(Sequence& sequence) {
  if (sequence.awaited && pool_.IsPending(*sequence.awaited)) return Admission::kPrefixPending;
  KnownBlocks own = FindBlocks(sequence, 0);
  const int num_hits = static_cast<int>(own.blocks.size());
  Sequence* const sibling = sequence.sibling.get();
  int num_shared = 0;  // blocks that the sibling takes from the sequence
  KnownBlocks others;
  if (sibling != nullptr && !own.pending) {
    const int cached = sequence.layout.FirstToken(num_hits);
    num_shared = sequence.NumBlocksSharedWithSibling(cached, facts_.prefill_chunk);
    others = FindBlocks(*sibling, num_shared);
  }
  if (own.pending || others.pending) {
    sequence.awaited = own.pending ? own.pending : others.pending;
    return Admission::kPrefixPending;
  }
  const int num_known = num_hits + num_shared + static_cast<int>(others.blocks.size());
  const int reserved = queue_.num_running(sequence) == 0 ? 0 : reserved_blocks_;
  if (sequence.num_request_blocks() - num_known >
      pool_.num_available() - own.to_revive - others.to_revive - reserved)
    return Admission::kNoMemory;

  // The known ones first, before any of them is allocated for something else.
  for (const BlockId block : others.blocks) pool_.Hold(block);
  GiveBlocks(sequence, std::move(own.blocks));
  if (sibling != nullptr) {
    std::vector<BlockId> leading(sequence.blocks.begin(), sequence.blocks.begin() + num_shared);
    leading.insert(leading.end(), others.blocks.begin(), others.blocks.end());
    GiveBlocks(*sibling, std::move(leading));
    sibling->num_shared = sibling->layout.FirstToken(num_shared);
  }
  for (const BlockId block : others.blocks) pool_.Release(block);
  return Admission::kAdmitted;
}

StepPlan Scheduler::Plan() {
  StepPlan plan;
  for (const Sequence* sequence : decode_.Next(running_)) {
    plan.steps.push_back(sequence->StepOver(sequence->num_computed, sequence->num_tokens()));
    if (const Sequence* sibling = sequence->sibling.get())
      plan.steps.push_back(sibling->StepOver(sibling->num_computed, sibling->num_tokens()));
  }
  absl::flat_hash_set<SequenceId> awaited;
  for (const Sequence* sequence : queue_.waiting()) {
    if (!sequence->awaited) continue;
    if (const auto owner = pool_.OwnerOf(*sequence->awaited)) awaited.insert(*owner);
  }
  prefill_.Plan(running_, awaited, plan.steps.empty() ? idle_prefill_budget_ : prefill_budget_, plan);
  return plan;
}

absl::StatusOr<Progress> Scheduler::Apply(const SequenceStep& step, SequenceResult result) {
  RETURN_IF_ERROR(CheckResult(step, result));
  const std::unique_ptr<Sequence>& of_request = sequences_.at(step.request_sequence());
  Sequence& sequence = step.sibling_of ? *of_request->sibling : *of_request;
  evidence_.Record(step, sequence.layout, result);
  sequence.num_computed = step.end;
  PublishCompleteBlocks(sequence);
  if (result.map) sequence.maps.push_back(*std::move(result.map));
  if (!step.sample) return Progress{};

  const std::vector<int32_t>& eos = facts_.eos_token_ids;
  const bool is_eos = std::find(eos.begin(), eos.end(), result.token->id) != eos.end();
  if (is_eos && !sequence.request.sampling.ignore_eos) return Progress{.finish = FinishReason::kStop};
  sequence.generated.push_back(result.token->id);
  if (sequence.sibling != nullptr) sequence.sibling->generated.push_back(result.token->id);
  const bool is_last = sequence.num_tokens() == sequence.max_size;
  return Progress{.token = std::move(result.token),
                  .finish = is_last ? std::optional(FinishReason::kLength) : std::nullopt};
}

absl::Status Scheduler::CheckResult(const SequenceStep& step, const SequenceResult& result) const {
  RETURN_IF_ERROR(result.status);
  size_t acted_on = 0;
  if (const interventions::Intervention* intervention = step.request->intervention.get()) {
    for (int position = step.begin; position < step.end; ++position) {
      acted_on += intervention->ActsOn(*step.request->prompt, position);
    }
  }
  const auto num_layers = static_cast<size_t>(facts_.num_layers);
  const size_t measures = facts_.token_measures * num_layers * (step.end - step.begin);
  const size_t rows = acted_on * num_layers;
  if (result.measures.size() != measures || result.rows.size() != rows ||
      result.token.has_value() != step.sample || result.map.has_value() != step.map) {
    return absl::InternalError(
        absl::StrCat("model runner: returned ", result.measures.size(), " measurements, ", result.rows.size(),
                     " rows, ", result.token.has_value(), " tokens and ", result.map.has_value(),
                     " maps, expected ", measures, ", ", rows, ", ", step.sample, " and ", step.map));
  }
  return absl::OkStatus();
}

void Scheduler::PublishCompleteBlocks(Sequence& sequence) {
  for (;; ++sequence.num_published) {
    const int block = sequence.num_published;
    const int end = sequence.layout.FirstToken(block + 1);
    if (end > sequence.num_computed || !MayBeShared(sequence, end)) return;
    std::vector<Digest>& keys = sequence.block_keys;
    if (static_cast<int>(keys.size()) == block) {
      keys.push_back(BlockKey(keys.back(), sequence.request, sequence.generated,
                              sequence.layout.FirstToken(block), end));
    }
    pool_.Publish(sequence.blocks[block], keys[block]);
  }
}

std::unique_ptr<const interventions::Report> Scheduler::Report(SequenceId id) {
  Sequence& sequence = *sequences_.at(id);
  return sequence.request.intervention->MakeReport(
      {.prompt = *sequence.request.prompt,
       .num_layers = facts_.num_layers,
       .tokens = evidence_.Of(sequence.layout, sequence.blocks, sequence.num_computed),
       .maps = std::move(sequence.maps)});
}

void Scheduler::Remove(SequenceId id, BlockContent content) {
  const auto it = sequences_.find(id);
  Sequence& sequence = *it->second;
  if (sequence.blocks.empty()) {
    queue_.RemoveWaiting(&sequence);
  } else {
    queue_.RemoveRunning(sequence);
    std::erase(running_, &sequence);
  }
  prefill_.Forget(id);
  if (sequence.sibling != nullptr) {
    prefill_.Forget(sequence.sibling->id);
    ReleaseBlocks(*sequence.sibling, content);
  }
  ReleaseBlocks(sequence, content);
  sequences_.erase(it);
}

void Scheduler::ReleaseBlocks(const Sequence& sequence, BlockContent content) {
  for (const Digest& key : sequence.block_keys) pool_.Withdraw(key, sequence.id);
  // Last block first: a chain is useful only from its first block on, so its end should be reused first.
  for (auto block = sequence.blocks.rbegin(); block != sequence.blocks.rend(); ++block) {
    if (content == BlockContent::kSuspect) pool_.Taint(*block);
    pool_.Release(*block);
  }
}

const Sequence* Scheduler::Find(SequenceId id) const {
  const auto it = sequences_.find(id);
  return it == sequences_.end() ? nullptr : it->second.get();
}

}  // namespace varserve::engine
