// Decoding steps as graphs: recorded once for each shape, then launched as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/backend/graph_recorder.h"
#include "server/engine/step_plan.h"
#include "server/model/step_input.h"

namespace varserve::model {

// Engine thread only.
class StepGraphs {
 public:
  using OnFailure = std::function<void(absl::string_view why)>;

  // `recorder` may be null: nothing is recorded then. block: fills steps up. on_failure: may be null; called
  // once, when a step cannot be recorded. Nothing more is recorded then.
  StepGraphs(const backend::GraphRecorder* recorder, int32_t padding_block, OnFailure on_failure)
      : recorder_(recorder), padding_block_(padding_block), on_failure_(std::move(on_failure)) {}

  // What a step is filled up to, so that it can share a graph with others: sizes grow by powers of two. No
  // sequences if it is not to be recorded: with a prefix, many rows of a sequence, or maps.
  StepInput::Padding PaddingOf(const engine::StepPlan& plan) const;

  // Does `work`, by launching the graph of its shape if there is one, else directly; then a graph is recorded
  // for the next time. layout: StepMemory's of this step.
  void Run(const StepInput::Padding& shape, std::optional<int64_t> layout, const std::function<void()>& work);

  int64_t launches() const { return launches_; }

 private:
  const backend::GraphRecorder* const recorder_;
  const int32_t padding_block_;
  const OnFailure on_failure_;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<const backend::Graph>> graphs_;  // sequences, slots
  int64_t layout_ = -1;                                                                  // of all graphs
  int64_t launches_ = 0;
  bool failed_ = false;  // to record one
};

}  // namespace varserve::model
