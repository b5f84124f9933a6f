#include "server/model/step_graphs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace varserve::model {
namespace {

using ::testing::ElementsAre;

class CountingRecorder : public backend::GraphRecorder {
 public:
  absl::StatusOr<std::unique_ptr<const backend::Graph>> Record(
      const std::function<void()>& /*work*/) const override {
    if (fails) return absl::InternalError("no graphs today");
    ++recorded;
    return std::make_unique<const CountedGraph>(&launched);
  }
  bool fails = false;
  mutable int recorded = 0;
  mutable int launched = 0;

 private:
  class CountedGraph : public backend::Graph {
   public:
    explicit CountedGraph(int* count) : count_(count) {}
    void Launch() const override { ++*count_; }

   private:
    int* const count_;
  };
};

class StepGraphsTest : public ::testing::Test {
 protected:
  StepGraphsTest() {
    auto prompt = std::make_shared<Prompt>();
    prompt->token_ids.assign(40, 1);
    request_.prompt = prompt;
  }
  // A decoding step of sequences whose tokens are at these positions.
  engine::StepPlan Plan(const std::vector<int>& positions) {
    engine::StepPlan plan;
    for (const int position : positions) {
      engine::SequenceStep& step = plan.steps.emplace_back();
      step.sequence = plan.steps.size();
      step.request = &request_;
      step.begin = position;
      step.end = position + 1;
      step.sample = true;
    }
    return plan;
  }
  void Run(const std::vector<int>& positions, std::optional<int64_t> layout = 1) {
    graphs_.Run(graphs_.PaddingOf(Plan(positions)), layout, [this] { ++worked_; });
  }

  engine::GenerationRequest request_;
  CountingRecorder recorder_;
  std::vector<std::string> failures_;
  StepGraphs graphs_{&recorder_, 77, [this](absl::string_view why) { failures_.emplace_back(why); }};
  int worked_ = 0;
};

TEST_F(StepGraphsTest, ShapesGrowByPowersOfTwo) {
  const auto shape = [&](const std::vector<int>& positions) {
    const StepInput::Padding padding = graphs_.PaddingOf(Plan(positions));
    EXPECT_EQ(padding.block, 77);
    return std::pair(padding.sequences, padding.slots);
  };
  EXPECT_EQ(shape({50}), std::pair(int64_t{1}, int64_t{256}));
  EXPECT_EQ(shape({50, 60, 1000}), std::pair(int64_t{4}, int64_t{1024}));
  EXPECT_EQ(shape({50, 1024}), std::pair(int64_t{2}, int64_t{2048}));
}

TEST_F(StepGraphsTest, OtherStepsAreNotRecorded) {
  engine::StepPlan map = Plan({50});
  map.steps[0].map = true;
  engine::StepPlan chunk = Plan({50});
  chunk.steps[0].end = 52;
  engine::StepPlan silent = Plan({30});
  silent.steps[0].sample = false;
  for (const engine::StepPlan& plan : {map, chunk, silent, Plan(std::vector<int>(65, 50))})
    EXPECT_EQ(graphs_.PaddingOf(plan).sequences, 0);
  EXPECT_EQ(StepGraphs(nullptr, 77, nullptr).PaddingOf(Plan({50})).sequences, 0);
}

TEST_F(StepGraphsTest, WorksOnceForEachShapeAndLayout) {
  Run({50});
  EXPECT_EQ(worked_, 1);
  EXPECT_EQ(recorder_.recorded, 1);
  Run({51});
  Run({200});
  EXPECT_EQ(worked_, 1);
  EXPECT_EQ(recorder_.launched, 2);
  Run({50, 60});
  EXPECT_EQ(recorder_.recorded, 2);
  Run({51}, 2);  // tensors have moved
  EXPECT_EQ(worked_, 3);
  EXPECT_EQ(recorder_.recorded, 3);
  Run({51}, std::nullopt);
  EXPECT_EQ(worked_, 4);
  EXPECT_EQ(recorder_.recorded, 3);
  EXPECT_EQ(graphs_.launches(), 2);
}

TEST_F(StepGraphsTest, LaunchesWhatItHasIfRecordingFails) {
  Run({50});
  recorder_.fails = true;
  Run({50, 60});
  recorder_.fails = false;
  Run({50, 61});
  Run({51});
  EXPECT_EQ(worked_, 3);
  EXPECT_EQ(recorder_.launched, 1);
  EXPECT_THAT(failures_, ElementsAre("no graphs today"));
  EXPECT_EQ(graphs_.PaddingOf(Plan({50, 60})).sequences, 0) << "nothing is filled up";
  EXPECT_EQ(graphs_.PaddingOf(Plan({50})).sequences, 1);
}

TEST_F(StepGraphsTest, WorksOnWithoutGraphsIfRecordingFails) {
  recorder_.fails = true;
  Run({50});
  Run({51});
  EXPECT_EQ(worked_, 2);
  EXPECT_EQ(recorder_.launched, 0);
  EXPECT_THAT(failures_, ElementsAre("no graphs today"));
  EXPECT_EQ(graphs_.PaddingOf(Plan({50})).sequences, 0) << "and nothing is filled up";
}

}  // namespace
}  // namespace varserve::model
