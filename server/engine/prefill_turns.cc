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
  int chunk_size = 0;
  bool held_up = false;
  // Of a sequence with a sibling, and of the sibling: the other one's.
  Unfinished* partner = nullptr;
  std::vector<SequenceStep> chunks;

  int left() const { return sequence->prompt_size() - begin; }
  int chunk_end() const { return sequence->ChunkEnd(begin, chunk_size); }
  bool at_last_chunk() const { return chunk_end() == sequence->prompt_size(); }
  bool may_go_on() const {
    const bool is_sibling = sequence->sibling_of.has_value();
    return !held_up && left() > 0 && (!is_sibling || partner->sequence->num_computed >= sequence->num_shared);
  }
  // The last chunks of a sequence and its sibling go together.
  bool takes_both() const { return partner != nullptr && at_last_chunk(); }
  bool waits() const {
    return may_go_on() && (!takes_both() || (partner->may_go_on() && partner->at_last_chunk()));
  }
};

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

// held_up: whether a sequence may not continue in this step
template <typename HeldUp>
std::vector<Unfinished> PromptsOf(absl::Span<Sequence* const> running, int chunk, const HeldUp& held_up) {
  std::vector<Unfinished> prompts;
  prompts.reserve(2 * running.size());  // partners point at each other
  for (const Sequence* sequence : running) {
    if (!sequence->prefilling()) continue;
    const Sequence* const sibling = sequence->sibling.get();
    for (const Sequence* part : {sequence, sibling}) {
      if (part == nullptr) continue;
      prompts.push_back({.sequence = part,
                         .begin = part->num_computed,
                         .chunk_size = chunk,
                         .held_up = held_up(*sequence),
                         .chunks = {}});
    }
    if (sibling == nullptr) continue;
    prompts.back().partner = &prompts.end()[-2];
    prompts.end()[-2].partner = &prompts.back();
  }
  return prompts;
}

// The chunks that go next if it is this prompt's turn.
std::vector<Unfinished*> Unit(Unfinished& prompt) {
  if (!prompt.takes_both()) return {&prompt};
  return {&prompt, prompt.partner};
}

// What these chunks take.
struct Demand {
  int tokens = 0;                             // with those of images, for the vision tower
  int now = 0;                                // those that are computed in the chunks' step
  std::vector<StepPlan::Encoding> encodings;  // of images that are not ready
  std::vector<SequenceStep> chunks;           // one of each part
};

Demand DemandOf(const std::vector<Unfinished*>& unit, const ImagesAhead& ahead) {
  Demand demand;
  for (const Unfinished* part : unit) {
    const SequenceStep& step =
        demand.chunks.emplace_back(part->sequence->StepOver(part->begin, part->chunk_end()));
    demand.tokens += step.end - step.begin;
    demand.now += step.end - step.begin;
    for (const int image : step.encode_images) {
      const Prompt& prompt = *step.request->prompt;
      const int visual_tokens = prompt.spans[image].layout->num_visual_tokens();
      demand.tokens += visual_tokens;
      if (ahead.IsReady({step.sequence, image})) continue;
      demand.now += visual_tokens;
      demand.encodings.push_back({{step.sequence, image}, prompt.images[image]});
    }
  }
  return demand;
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
  const bool decodes = !plan.steps.empty();
  const bool contended = decodes && std::any_of(running.begin(), running.end(), [&](const Sequence* s) {
                           return s->request.caller != running.front()->request.caller;
                         });
  const auto held_up = [&](const Sequence& sequence) {
    const auto any = [&](const auto& test) {
      return test(sequence.id) || (sequence.sibling != nullptr && test(sequence.sibling->id));
    };
    return contended && !MayGoOn(sequence.request.caller) &&
           !any([&](SequenceId id) { return awaited.contains(id) || ahead_.HasAnyOf(id); });
  };
  std::vector<Unfinished> prompts = PromptsOf(running, chunk_, held_up);
  if (prompts.empty()) return;
  bool oldest = std::exchange(oldest_begins_, !oldest_begins_);
  bool first_chunk = true;
  bool encodes_images = false;
  while (Unfinished* prompt = oldest ? Oldest(prompts) : ShortestOfLeastLoaded(prompts)) {
    const std::vector<Unfinished*> unit = Unit(*prompt);
    Demand demand = DemandOf(unit, ahead_);
    const bool needs_images = !demand.encodings.empty();
    if (needs_images && decodes && encodes_ahead_) {
      ahead_.Begin(demand.encodings, plan);
      prompt->held_up = true;
      continue;
    }
    if (!first_chunk && (demand.now > budget || (encodes_images && needs_images))) {
      prompt->held_up = true;
      continue;
    }
    first_chunk = false;
    encodes_images |= needs_images;
    budget -= demand.now;
    if (contended) debts_[prompt->sequence->request.caller] += demand.tokens;
    for (size_t i = 0; i < unit.size(); ++i) {
      ahead_.OnPlanned(demand.chunks[i]);
      unit[i]->begin = demand.chunks[i].end;
      unit[i]->chunks.push_back(std::move(demand.chunks[i]));
    }
    oldest = !oldest;
  }
  for (Unfinished& prompt : prompts) {
    plan.steps.insert(plan.steps.end(), std::make_move_iterator(prompt.chunks.begin()),
                      std::make_move_iterator(prompt.chunks.end()));
  }
}

}  // namespace varserve::engine
