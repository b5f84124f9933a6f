#include "tools/calibrate/calibration.h"

#include <gmock/gmock.h>

#include "tests/unit/calibrate/observations.h"

namespace varserve::calibrate {
namespace {

TEST(CalibrationTest, ThresholdParts) {
  const Calibration c = MakeCalibration();
  EXPECT_THAT(c.sink_dimensions, ::testing::ElementsAre(7, 11));
  EXPECT_EQ(c.threshold.range.low, 5.0F);
  EXPECT_EQ(c.threshold.range.high, 30.0F);
  EXPECT_EQ(c.threshold.agreed, 1.0);
  EXPECT_EQ(c.num_prompts, kPrompts);
}

TEST(CalibrationTest, LayersAreMeansOverPrompts) {
  const Calibration c = MakeCalibration();
  ASSERT_EQ(c.layers.size(), kLayers);
  EXPECT_EQ(c.first_layer, 1);
  EXPECT_EQ(c.last_layer, kLayers - 1);
  EXPECT_EQ(c.layers[0].visual_sinks + c.layers[0].text_sinks, 0.0);
  EXPECT_EQ(c.layers[0].smallest_sink_phi, 0.0F);
  EXPECT_EQ(c.layers[2].layer, 2);
  EXPECT_EQ(c.layers[2].visual_sinks, 2.0);
  EXPECT_EQ(c.layers[2].text_sinks, 1.0);
  EXPECT_NEAR(c.layers[2].attention_on_sinks, 0.65, 1e-6);
  EXPECT_EQ(c.layers[2].largest_other_phi, 5.0F);
  EXPECT_EQ(c.layers[2].smallest_sink_phi, 30.0F);
}

TEST(CalibrationTest, AgreementOfSinksAndAttention) {
  const Calibration c = MakeCalibration();
  // Over three layers and two prompts: three sinks, two of them attended, and one more attended token.
  EXPECT_EQ(c.agreement.sinks, 18);
  EXPECT_EQ(c.agreement.attended, 18);
  EXPECT_EQ(c.agreement.both, 12);
  EXPECT_DOUBLE_EQ(c.agreement.precision(), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(Agreement{}.recall(), 0.0);
}

TEST(CalibrationTest, NoneWithoutAKnownSinkOrAGap) {
  std::vector<LayerObservation> observations = MakeObservations();
  for (LayerObservation& o : observations) o.sink.reset();
  EXPECT_FALSE(Summarize({7}, kLayers, kPrompts, observations).has_value());
  observations = MakeObservations();
  for (LayerObservation& o : observations) {
    for (TokenObservation& token : o.tokens) token.phi = 3.0F;
  }
  EXPECT_FALSE(Summarize({7}, kLayers, kPrompts, observations).has_value());
}

}  // namespace
}  // namespace varserve::calibrate
