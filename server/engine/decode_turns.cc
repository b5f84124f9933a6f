#include "server/engine/decode_turns.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"

namespace varserve::engine {

std::vector<const Sequence*> DecodeTurns::Next(absl::Span<Sequence* const> running) {
  std::vector<const Sequence*> decoding;
  absl::flat_hash_map<absl::string_view, std::vector<const Sequence*>> callers;
  for (const Sequence* sequence : running) {
    if (sequence->prefilling()) continue;
    decoding.push_back(sequence);
    callers[sequence->request.caller].push_back(sequence);
  }
  if (callers.size() <= 1) {
    last_turn_.clear();
    return decoding;
  }
  const size_t part = std::max<size_t>(1, max_rows_ / callers.size());
  absl::flat_hash_map<SequenceId, uint64_t> turns;
  // A new sequence got its first token in the previous step.
  const auto last_turn = [this, before = step_++](const Sequence* sequence) {
    const auto it = last_turn_.find(sequence->id);
    return it == last_turn_.end() ? before : it->second;
  };
  for (auto& [caller, sequences] : callers) {
    std::stable_sort(sequences.begin(), sequences.end(),
                     [&](const Sequence* a, const Sequence* b) { return last_turn(a) < last_turn(b); });
    size_t rows = 0;
    for (const Sequence* sequence : sequences) {
      const bool first = rows == 0;
      rows += sequence->num_rows();
      turns[sequence->id] = first || rows <= part ? step_ : last_turn(sequence);
    }
  }
  last_turn_ = std::move(turns);
  std::erase_if(decoding, [this](const Sequence* sequence) { return last_turn_.at(sequence->id) != step_; });
  return decoding;
}

}  // namespace varserve::engine
