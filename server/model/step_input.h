// Turns a step plan into tensors: which tokens run, where their K and V go, what their rows attend to.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "server/backend/attention.h"
#include "server/engine/step_plan.h"

namespace varserve::model {

// The tokens of a step, packed in the decoder's order. Host data.
struct StepInput {
  // Where one SequenceStep's tokens are among the packed ones.
  struct Place {
    int64_t first = 0;     // index of its first token
    bool rows = false;     // whether they are rows (else a prefix chunk)
    int64_t sampled = -1;  // index among the sampled tokens
    int64_t map = -1;      // index among the maps
  };

  // Sizes to fill up to, with sequences that attend to one slot of a block that belongs to nobody.
  struct Padding {
    int64_t sequences = 0;  // 0: nothing is filled up
    int64_t slots = 0;      // of the longest
    int32_t block = 0;
  };

  // Of the model: what decides how the input looks.
  struct Shape {
    int num_layers = 0;
    int64_t block_size = 0;
    bool mrope = false;
  };

  StepInput(const engine::StepPlan& plan, const Shape& shape, const Padding& padding);

  std::vector<Place> places;                      // one per SequenceStep
  std::vector<int64_t> token_ids;                 // [N]
  std::vector<std::array<int64_t, 3>> positions;  // [N], see RopePositions
  std::vector<int64_t> slots;                     // [N] in the KV pool
  std::vector<int64_t> sampled;                   // [S], of the steps that need logits
  backend::RowBatch batch;                   // chunks of a sequence that follow each other are one sequence
  std::vector<backend::PrefixChunk> prefix;  // and one chunk. Blocks not set
  std::vector<std::vector<int64_t>> prefix_blocks;

  // [A, N]: one axis after the other, 1 or 3 of them.
  std::vector<int64_t> PositionsByAxis(int axes) const;

 private:
  void AddTokens(const engine::SequenceStep& step, const engine::SlotLayout& layout, const Shape& shape,
                 Place& place);
  // continues: the step before is of the same sequence. Such chunks read the same keys and values, and are
  // attended as one.
  void AddRows(const engine::SequenceStep& step, const engine::SlotLayout& layout, bool continues,
               Place& place);
  void AddPrefix(const engine::SequenceStep& step, const engine::SlotLayout& layout, bool continues,
                 const Place& place);
  void FillUp(int64_t block_size, const Padding& padding);
};

}  // namespace varserve::model
