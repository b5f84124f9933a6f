#include "server/model/step_outputs.h"

#include <ATen/ATen.h>

#include <array>
#include <utility>
#include <vector>

#include "server/backend/leading_tokens.h"
#include "server/interventions/attention_row.h"

namespace varserve::model {

StepOutputs::StepOutputs(const Sizes& s, backend::StepMemory& memory) {
  // What the number of sampling requests changes comes last: it moves nothing else.
  const std::array<std::pair<at::Tensor*, std::vector<int64_t>>, 6> parts = {
      {{&largest, {s.sampled, 2}},
       {&phi, {s.layers, s.phi_planes, s.tokens}},
       {&sums, {s.layers, s.rows, interventions::kRowSums}},
       {&maps, {s.maps, 2, s.map_slots}},
       {&leading, {s.leading, backend::kLeadingColumns}},
       {&whole_logits, {s.whole_logits, s.vocabulary}}}};
  int64_t size = 0;
  for (const auto& [part, shape] : parts) size += c10::multiply_integers(shape);
  all = memory.Take({size}, at::kFloat);
  int64_t begin = 0;
  for (const auto& [part, shape] : parts) {
    const int64_t count = c10::multiply_integers(shape);
    *part = all.narrow(0, begin, count).view(shape);
    begin += count;
  }
}

}  // namespace varserve::model
