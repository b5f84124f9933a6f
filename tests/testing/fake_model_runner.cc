#include "tests/testing/fake_model_runner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "gtest/gtest.h"
#include "server/base/status_macros.h"
#include "server/interventions/attention_row.h"
#include "tests/testing/hash.h"

namespace varserve::testing {
namespace {

using engine::BlockId;
using engine::GenerationRequest;
using engine::SequenceId;
using engine::SequenceResult;
using engine::SequenceStep;
using engine::StepOutput;
using engine::StepPlan;
using engine::Token;
using interventions::AttentionMap;
using interventions::AttentionShares;
using interventions::Intervention;
using interventions::Mode;

constexpr int kVocabulary = 64;

uint64_t HashOf(const Intervention& intervention) {
  uint64_t hash = 0;
  for (const char c : intervention.key()) hash = Hash(hash, c);
  return hash;
}

// Image and index of the visual token at a position, or none: written anew here, so that the engine's own
// arithmetic is checked against it.
std::optional<std::pair<int, int>> ImageAt(const Prompt& prompt, int position) {
  for (int i = static_cast<int>(prompt.spans.size()) - 1; i >= 0; --i) {
    const ImageSpan& span = prompt.spans[i];
    if (position < span.begin || position >= span.end) continue;
    const std::vector<int32_t>& ids = span.layout->token_ids;
    const auto at = ids.begin() + position - span.begin;
    const int32_t placeholder = ids[span.layout->runs.front().begin];
    if (*at != placeholder) return std::nullopt;
    return std::pair(i, static_cast<int>(std::count(ids.begin(), at, placeholder)));
  }
  return std::nullopt;
}

bool Eligible(const Prompt& prompt, int position) {
  bool after_image = false;
  for (const ImageSpan& span : prompt.spans) {
    if (position >= span.begin && position < span.end) return false;
    after_image = after_image || span.begin < position;
  }
  return after_image;
}

int SlotOf(const Prompt& prompt, int position, int block_size) {
  const int prefix_size = prompt.prefix_size();
  if (position < prefix_size) return position;
  const int prefix_slots = (prefix_size + block_size - 1) / block_size * block_size;
  return prefix_slots + position - prefix_size;
}

uint64_t Content(const GenerationRequest& request, absl::Span<const int32_t> generated, int position,
                 uint64_t before) {
  const Prompt& prompt = *request.prompt;
  const bool is_generated = position >= prompt.size();
  uint64_t token = 0;
  if (const auto image = ImageAt(prompt, position)) {
    uint64_t digest = 0;
    std::memcpy(&digest, prompt.images[image->first]->digest.data(), sizeof(digest));
    token = Hash(1, digest, image->second);
  } else {
    token = Hash(2, is_generated ? generated[position - prompt.size()] : prompt.token_ids[position]);
  }
  uint64_t change = 0;
  if (ModeOf(request.intervention.get()) == Mode::kOn && Eligible(prompt, position)) {
    const bool unlike_a_prompts = is_generated && !request.intervention->MayShare(prompt, position + 1);
    change = Hash(HashOf(*request.intervention), unlike_a_prompts);
  }
  return Hash(before, token, position, change);
}

}  // namespace

engine::ModelFacts FakeModelRunner::SmallFacts() {
  return {.num_layers = 4,
          .num_heads = 2,
          .context = 256,
          .eos_token_ids = {0, 1},
          .num_kv_blocks = 64,
          .block_size = 4,
          .block_bytes = 1024,
          .prefill_chunk = 8,
          .token_measures = 2};
}

engine::ModelFacts FakeModelRunner::LongContextFacts() {
  engine::ModelFacts facts = SmallFacts();
  facts.context = 8192;
  facts.num_kv_blocks = 4 * facts.context / facts.block_size;
  return facts;
}

FakeModelRunner::FakeModelRunner(engine::ModelFacts facts)
    : facts_(std::move(facts)), slots_(facts_.num_kv_blocks * facts_.block_size) {}

absl::StatusOr<StepOutput> FakeModelRunner::Execute(const StepPlan& plan,
                                                    absl::FunctionRef<void()> meanwhile) {
  ++counts_.steps;
  CheckPlan(plan);
  counts_.encoded_ahead += encodings_.Begin(plan);
  const absl::Status status = fault ? fault(plan) : absl::OkStatus();
  if (status.ok() || counts_.steps % 2 == 0) meanwhile();  // a step may also fail before
  StepOutput output;
  for (const SequenceStep& step : plan.steps) {
    SequenceState& state = StateOf(step);
    CheckSlots(step, state);
    EncodeImages(step, state);
    if (step.begin < step.request->prompt->size()) counts_.prefill_tokens += step.end - step.begin;
    Write(step, state, /*garbage=*/false);
    output.results.push_back(Result(step, state));
    if (non_finite && non_finite(step)) {
      output.results.back().status = absl::InternalError("logits are not finite");
    }
  }
  Contrast(plan, output);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (status.ok() && output.results[i].status.ok()) continue;
    Write(plan.steps[i], StateOf(plan.steps[i]), /*garbage=*/true);
  }
  if (!status.ok()) return status;
  if (edit_output) edit_output(output);
  return output;
}

void FakeModelRunner::Contrast(const StepPlan& plan, StepOutput& output) {
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const SequenceStep& step = plan.steps[i];
    for (size_t j = 0; j < plan.steps.size(); ++j) {
      const SequenceStep& other = plan.steps[j];
      if (!step.sample || other.sibling_of != step.sequence) continue;
      output.results[i].status.Update(output.results[j].status);
      if (!other.contrasts) continue;
      int32_t& id = output.results[i].token->id;
      id = static_cast<int32_t>(Hash(id, StateOf(other).contents[other.end - 1]) % kVocabulary);
    }
  }
}

void FakeModelRunner::CheckPlan(const StepPlan& plan) const {
  EXPECT_FALSE(plan.steps.empty());
  EXPECT_TRUE(plan.encode_ahead.empty() || facts_.encodes_ahead);
  bool prefill = false;
  std::map<SequenceId, int> ends;
  for (const SequenceStep& step : plan.steps) {
    const Prompt& prompt = *step.request->prompt;
    const int known = prompt.size() + static_cast<int>(step.generated.size());
    EXPECT_LT(step.begin, step.end);
    EXPECT_LE(step.end, known);
    EXPECT_EQ(step.sibling_of ? step.contrasts : step.sample, step.end == known);
    EXPECT_EQ(step.begin < prompt.prefix_size(), step.end <= prompt.prefix_size())
        << "chunk straddles the prefix";
    if (step.begin >= prompt.size()) {
      EXPECT_FALSE(prefill) << "decode after prefill";
      EXPECT_EQ(step.end, step.begin + 1);
      EXPECT_FALSE(ends.contains(step.sequence));
    } else {
      prefill = true;
      EXPECT_LE(step.end, prompt.size());
      EXPECT_LE(step.end - step.begin, facts_.prefill_chunk);
      if (ends.contains(step.sequence)) {
        EXPECT_EQ(ends[step.sequence], step.begin);
      }
    }
    ends[step.sequence] = step.end;
    for (const BlockId block : step.blocks) EXPECT_TRUE(block >= 0 && block < facts_.num_kv_blocks);
  }
}

size_t FakeModelRunner::IndexOf(const SequenceStep& step, int slot) const {
  return step.blocks.at(slot / facts_.block_size) * facts_.block_size + slot % facts_.block_size;
}

void FakeModelRunner::CheckSlots(const SequenceStep& step, const SequenceState& state) const {
  const Prompt& prompt = *step.request->prompt;
  const int prefix_size = prompt.prefix_size();
  const int prefix_slots = SlotOf(prompt, prefix_size, facts_.block_size);
  for (int position = 0; position < step.begin; ++position) {
    const int slot = SlotOf(prompt, position, facts_.block_size);
    ASSERT_EQ(slots_[IndexOf(step, slot)].content, state.contents[position])
        << "sequence " << step.sequence << " position " << position << " of " << step.begin;
  }
  if (step.begin >= prefix_size && prefix_slots > prefix_size) {
    const SequenceId writer = slots_[IndexOf(step, prefix_size - 1)].writer;
    for (int slot = prefix_size; slot < prefix_slots; ++slot) {
      ASSERT_NE(slots_[IndexOf(step, slot)].writer, writer) << "a slot that must stay empty was written";
    }
  }
  for (int slot = 0; slot < static_cast<int>(step.blocks.size()) * facts_.block_size; ++slot) {
    const Slot& s = slots_[IndexOf(step, slot)];
    ASSERT_TRUE(!s.garbage || s.writer == step.sequence) << "a block with garbage was handed on";
  }
}

void FakeModelRunner::EncodeImages(const SequenceStep& step, SequenceState& state) {
  for (const int image : step.encode_images) {
    ++counts_.encoded_images;
    encodings_.Take({step.sequence, image});
    const auto [it, is_new] = state.encoded_at.emplace(image, step.begin);
    EXPECT_EQ(it->second, step.begin) << "image " << image << " encoded twice";
  }
  for (int position = step.begin; position < step.end; ++position) {
    if (const auto image = ImageAt(*step.request->prompt, position)) {
      ASSERT_TRUE(state.encoded_at.contains(image->first)) << "image " << image->first << " not encoded";
    }
  }
}

void FakeModelRunner::Write(const SequenceStep& step, const SequenceState& state, bool garbage) {
  for (int position = step.begin; position < step.end; ++position) {
    const int slot = SlotOf(*step.request->prompt, position, facts_.block_size);
    slots_[IndexOf(step, slot)] = {.content = garbage ? ~state.contents[position] : state.contents[position],
                                   .writer = step.sequence,
                                   .garbage = garbage};
  }
}

SequenceResult FakeModelRunner::Result(const SequenceStep& step, const SequenceState& state) const {
  const Prompt& prompt = *step.request->prompt;
  const Intervention* const intervention = step.request->intervention.get();
  SequenceResult result;
  for (int measure = 0; measure < facts_.token_measures; ++measure) {
    for (int layer = 0; layer < facts_.num_layers; ++layer) {
      for (int position = step.begin; position < step.end; ++position) {
        result.measures.push_back(40.0F * Unit(Hash(state.contents[position], measure, layer)));
      }
    }
  }
  for (int position = step.begin; position < step.end; ++position) {
    if (intervention == nullptr || !Eligible(prompt, position)) continue;
    interventions::AttentionRow parameters;
    intervention->SetRow({.prompt = prompt, .position = position}, parameters);
    for (int layer = 0; layer < facts_.num_layers; ++layer) {
      AttentionShares& row = result.rows.emplace_back();
      if (layer < parameters.first_layer || layer > parameters.last_layer) continue;
      const uint64_t hash = Hash(state.contents[position], layer, HashOf(*intervention));
      row.changed_heads = Unit(Hash(hash, 1));
      row.redistributed = intervention->mode() == Mode::kOn ? Unit(Hash(hash, 2)) : 0.0F;
      row.visual_before = Unit(Hash(hash, 3));
      row.visual_after = Unit(Hash(hash, 4));
    }
  }
  if (!step.sample) return result;
  const uint64_t last = state.contents[step.end - 1];
  result.token = Token{.id = static_cast<int32_t>(Hash(last, 5) % kVocabulary)};
  if (step.map) {
    AttentionMap& map = result.map.emplace();
    map.position = step.end - 1;
    for (int position = 0; position < prompt.size(); ++position) {
      if (!ImageAt(prompt, position)) continue;
      map.before.push_back(Unit(Hash(last, 6, position)));
      map.after.push_back(Unit(Hash(last, 7, position)));
    }
  }
  return result;
}

FakeModelRunner::SequenceState& FakeModelRunner::StateOf(const SequenceStep& step) {
  SequenceState& state = sequences_[step.sequence];
  for (int position = static_cast<int>(state.contents.size()); position < step.end; ++position) {
    state.contents.push_back(
        Content(*step.request, step.generated, position, position == 0 ? 0 : state.contents.back()));
  }
  return state;
}

void FakeModelRunner::Release(SequenceId sequence) {
  sequences_.erase(sequence);
  encodings_.Forget(sequence);
}

absl::Status FakeModelRunner::ClearBlocks(absl::Span<const BlockId> blocks) {
  if (clear_fault) RETURN_IF_ERROR(clear_fault());
  for (const BlockId block : blocks) {
    ++counts_.cleared_blocks;
    for (int slot = 0; slot < facts_.block_size; ++slot) slots_[block * facts_.block_size + slot] = {};
  }
  return absl::OkStatus();
}

}  // namespace varserve::testing
