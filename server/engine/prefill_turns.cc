#include "server/engine/prefill_turns.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace varserve::engine {
namespace {

// A prompt that is not completely computed, and what the step takes from it.
struct Unfinished {
  const Sequence* sequence = nullptr;
  int begin = 0;  // of the next chunk
  bool held_up = false;
  std::vector<SequenceStep> chunks;

  int left() const { return sequence->prompt_size() - begin; }
  bool waits() const { return !held_up && left() > 0; }
};

// Number of budget tokens that a step uses.
int Cost(const SequenceStep& step) {
  int cost = step.end - step.begin;
  for (const int image : step.encode_images) {
    cost += step.request->prompt->spans[image].layout->num_visual_tokens();
  }
  return cost;
}

Unfinished* Oldest(std::vector<Unfinished>& prompts) {
  for (Unfinished& prompt : prompts) {
    if (prompt.waits()) return &prompt;
  }
  return nullptr;
}

Unfinished* ShortestOfLeastLoaded(std::vector<Unfinished>& prompts) {
  absl::flat_hash_map<absl::string_view, int> load;  // tokens left to compute, by caller
  for (const Unfinished& prompt : prompts) load[prompt.sequence->request.caller] += prompt.left();
  Unfinished* best = nullptr;
  std::pair<int, int> least;
  for (Unfinished& prompt : prompts) {
    const std::pair<int, int> place(load[prompt.sequence->request.caller], prompt.left());
    if (!prompt.waits() || (best != nullptr && place >= least)) continue;
    best = &prompt;
    least = place;
  }
  return best;
}

}  // namespace

void PrefillTurns::PayDebts(const StepPlan& plan) {
  absl::flat_hash_map<absl::string_view, int> rows;  // decoding rows, by caller
  for (const SequenceStep& step : plan.steps) ++rows[step.request->caller];
  absl::erase_if(debts_, [&](auto& entry) {
    const auto own = rows.find(entry.first);
    const int others = static_cast<int>(plan.steps.size()) - (own == rows.end() ? 0 : own->second);
    entry.second -= std::max(others, kLeastPaid);
    return entry.second <= 0;
  });
}

bool PrefillTurns::MayGoOn(const std::string& caller) const {
  const auto debt = debts_.find(caller);
  return debt == debts_.end() || debt->second <= kBurst;
}

void PrefillTurns::Plan(absl::Span<Sequence* const> running, const absl::flat_hash_set<SequenceId>& awaited,
                        int budget, StepPlan& plan) {
  PayDebts(plan);
  const bool contended =
      !plan.steps.empty() && std::any_of(running.begin(), running.end(), [&](const Sequence* s) {
        return s->request.caller != running.front()->request.caller;
      });
  std::vector<Unfinished> prompts;
  for (const Sequence* sequence : running) {
    if (sequence->prefilling()) {
      prompts.push_back(
          {.sequence = sequence,
           .begin = sequence->num_computed,
           .held_up = contended && !awaited.contains(sequence->id) && !MayGoOn(sequence->request.caller),
           .chunks = {}});
    }
  }
  if (prompts.empty()) return;
  bool oldest = std::exchange(oldest_begins_, !oldest_begins_);
  bool first_chunk = true;
  bool encodes_images = false;
  while (Unfinished* prompt = oldest ? Oldest(prompts) : ShortestOfLeastLoaded(prompts)) {
    const Sequence& sequence = *prompt->sequence;
    SequenceStep step = sequence.StepOver(prompt->begin, sequence.ChunkEnd(prompt->begin, chunk_));
    const int cost = Cost(step);
    const bool second_image = encodes_images && !step.encode_images.empty();
    if (!first_chunk && (cost > budget || second_image)) {
      prompt->held_up = true;
      continue;
    }
    first_chunk = false;
    encodes_images |= !step.encode_images.empty();
    budget -= cost;
    if (contended) debts_[sequence.request.caller] += cost;
    prompt->begin = step.end;
    prompt->chunks.push_back(std::move(step));
    oldest = !oldest;
  }
  for (Unfinished& prompt : prompts) {
    plan.steps.insert(plan.steps.end(), std::make_move_iterator(prompt.chunks.begin()),
                      std::make_move_iterator(prompt.chunks.end()));
  }
}

}  // namespace varserve::engine
