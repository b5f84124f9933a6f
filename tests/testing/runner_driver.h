// Drives a model runner for one sequence without an engine, any way the steps may be cut, and keeps
// everything it says.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

#include "server/engine/model_runner.h"

namespace varserve::testing {

class RunnerDriver {
 public:
  // Blocks [first_block, ...) are the sequence's.
  RunnerDriver(engine::ModelRunner& runner, engine::GenerationRequest request, engine::SequenceId id = 1,
               int first_block = 0)
      : runner_(runner),
        request_(std::move(request)),
        id_(id),
        layout_(request_.prompt->prefix_size(), runner.facts().block_size) {
    blocks_.resize(layout_.NumBlocks(request_.prompt->size() + 64));
    std::iota(blocks_.begin(), blocks_.end(), first_block);
  }

  // The step that computes tokens [position(), end); images are encoded when their first token is reached.
  engine::SequenceStep Step(int end, bool sample) {
    engine::SequenceStep step{.sequence = id_,
                              .request = &request_,
                              .generated = generated_,
                              .begin = position_,
                              .end = end,
                              .blocks = blocks_,
                              .encode_images = {},
                              .sample = sample,
                              .map = sample && position_ >= layout_.prefix_size() &&
                                     !request_.map_layers.empty() && request_.intervention != nullptr};
    for (size_t i = 0; i < request_.prompt->spans.size(); ++i) {
      const int begin = request_.prompt->spans[i].begin;
      if (begin >= position_ && begin < end) step.encode_images.push_back(static_cast<int>(i));
    }
    return step;
  }
  // Takes in a step's result.
  void Apply(const engine::SequenceStep& step, const engine::SequenceResult& result) {
    ASSERT_TRUE(result.status.ok()) << result.status;
    position_ = step.end;
    if (result.token.has_value()) {
      sampled_.push_back(*result.token);
      if (position_ == request_.prompt->size() + static_cast<int>(generated_.size()))
        generated_.push_back(result.token->id);
    }
    results_.push_back(result);
  }
  void Run(int end, bool sample) {
    const engine::SequenceStep step = Step(end, sample);
    auto output = runner_.Execute({.steps = {step}}, [] {});
    ASSERT_TRUE(output.ok()) << output.status();
    Apply(step, output->results.front());
  }

  const engine::GenerationRequest& request() const { return request_; }
  int position() const { return position_; }
  const std::vector<int32_t>& generated() const { return generated_; }
  const std::vector<engine::Token>& sampled() const { return sampled_; }
  const std::vector<engine::SequenceResult>& results() const { return results_; }
  const engine::SlotLayout& layout() const { return layout_; }

 private:
  engine::ModelRunner& runner_;
  const engine::GenerationRequest request_;
  const engine::SequenceId id_;
  const engine::SlotLayout layout_;
  std::vector<engine::BlockId> blocks_;
  int position_ = 0;
  std::vector<int32_t> generated_;
  std::vector<engine::Token> sampled_;
  std::vector<engine::SequenceResult> results_;
};

}  // namespace varserve::testing
