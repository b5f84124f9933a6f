#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/interventions/var/report_proto.h"
#include "tests/testing/image_span.h"
#include "tests/testing/small_preprocessor.h"

namespace varserve::interventions {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A picture of 2 x 2 after a class token, and one of 1 x 2.
class ReportConversionTest : public ::testing::Test {
 protected:
  ReportConversionTest() {
    prompt_.token_ids.assign(10, 50);
    prompt_.spans = {testing::MakeSpan(1, 6, 2, 2), testing::MakeSpan(7, 9, 1, 2)};
    effective_.set_mode(v1::VAR_MODE_ON);
    report_.eligible_rows = 3;
    report_.visual_sink_tokens = 1.5;
    report_.text_sink_tokens = 0.25;
    report_.totals = {
        .changed_heads = 0.1F, .redistributed = 0.2F, .visual_before = 0.3F, .visual_after = 0.4F};
    report_.layers = {{.layer = 2, .visual_sinks = 3, .text_sinks = 1, .shares = {.redistributed = 0.5F}}};
    report_.visual_sinks = {{.image = 1, .row = 0, .col = 1, .layers = 4, .max_phi = 23.5F}};
    report_.rows = {{.position = 9, .shares = {.visual_before = 0.6F}}, {.position = 10, .shares = {}}};
    report_.maps = {{.position = 9, .before = {9, 1, 2, 3, 4, 5, 6}, .after = {9, 11, 12, 13, 14, 15, 16}},
                    {.position = 10, .before = {9, 1, 2, 3, 4, 5, 6}, .after = {9, 1, 2, 3, 4, 5, 6}}};
  }

  v1::VarReport Convert(v1::VarDetail detail, int64_t max_map_bytes = 1 << 20, size_t max_bytes = 1 << 20) {
    effective_.set_detail(detail);
    return ToProto(report_, effective_,
                   {.prompt = prompt_,
                    .generated = generated_,
                    .token_text = [this](int32_t id) { return preprocessor_->tokenizer().TokenText(id); },
                    .max_map_bytes = max_map_bytes,
                    .max_bytes = max_bytes});
  }

  const std::unique_ptr<const chat::Preprocessor> preprocessor_ = testing::LoadSmallPreprocessor();
  Prompt prompt_;
  const std::vector<int32_t> generated_ = {*preprocessor_->tokenizer().TokenToId("▁image"), 61};
  v1::VarOptions effective_;
  VarReport report_;
};

TEST_F(ReportConversionTest, TotalsAreAlwaysThere) {
  const v1::VarReport report = Convert(v1::VAR_DETAIL_NONE);
  EXPECT_EQ(report.effective().mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(report.eligible_rows(), 3U);
  EXPECT_EQ(report.visual_sink_tokens(), 1.5F);
  EXPECT_EQ(report.text_sink_tokens(), 0.25F);
  EXPECT_EQ(report.distinct_visual_sinks(), 1U);
  EXPECT_EQ(report.image_centric_head_ratio(), 0.1F);
  EXPECT_EQ(report.redistributed_attention(), 0.2F);
  EXPECT_EQ(report.visual_attention_before(), 0.3F);
  EXPECT_EQ(report.visual_attention_after(), 0.4F);
  EXPECT_THAT(report.layers(), IsEmpty());
  EXPECT_THAT(report.visual_sinks(), IsEmpty());
  EXPECT_THAT(report.tokens(), IsEmpty());
  EXPECT_THAT(report.maps(), IsEmpty());
}

// Of an image of 1 x 2 tiles, each a token, the second image has none.
TEST_F(ReportConversionTest, ThumbnailsHaveMapsOfTheirOwn) {
  const TileGrid tiles{.down = 2, .across = 1, .rows = 1, .cols = 1, .thumbnail = true};
  const auto layout = std::make_shared<const ImageLayout>(testing::kImagePlaceholder, tiles);
  prompt_.spans = {{.begin = 1, .end = 4, .layout = layout}, testing::MakeSpan(6, 7, 1, 1)};
  report_.maps = {{.position = 9, .before = {1, 2, 3, 4}, .after = {11, 12, 13, 14}}};
  report_.visual_sinks = {{.image = 0, .in_thumbnail = true, .layers = 1, .max_phi = 30.0F}};
  const v1::VarReport report = Convert(v1::VAR_DETAIL_MAPS);
  ASSERT_THAT(report.maps(), SizeIs(2));
  EXPECT_EQ(report.maps(0).rows(), 2U);
  EXPECT_THAT(report.maps(0).before(), ElementsAre(1, 2));
  EXPECT_THAT(report.maps(0).after(), ElementsAre(11, 12));
  EXPECT_THAT(report.maps(0).thumbnail_before(), ElementsAre(3));
  EXPECT_THAT(report.maps(0).thumbnail_after(), ElementsAre(13));
  EXPECT_THAT(report.maps(1).before(), ElementsAre(4));
  EXPECT_THAT(report.maps(1).thumbnail_before(), IsEmpty());
  EXPECT_TRUE(report.visual_sinks(0).in_thumbnail());
}

TEST_F(ReportConversionTest, LayersComeWithTheSinksPlaces) {
  const v1::VarReport report = Convert(v1::VAR_DETAIL_LAYERS);
  ASSERT_THAT(report.layers(), SizeIs(1));
  EXPECT_EQ(report.layers(0).layer(), 2U);
  EXPECT_EQ(report.layers(0).visual_sink_tokens(), 3U);
  EXPECT_EQ(report.layers(0).text_sink_tokens(), 1U);
  EXPECT_EQ(report.layers(0).redistributed_attention(), 0.5F);
  ASSERT_THAT(report.visual_sinks(), SizeIs(1));
  EXPECT_EQ(report.visual_sinks(0).image(), 1U);
  EXPECT_EQ(report.visual_sinks(0).column(), 1U);
  EXPECT_EQ(report.visual_sinks(0).layers(), 4U);
  EXPECT_EQ(report.visual_sinks(0).max_phi(), 23.5F);
  EXPECT_THAT(report.tokens(), IsEmpty());
}

TEST_F(ReportConversionTest, TokensAreThePromptsAndTheAnswers) {
  const v1::VarReport report = Convert(v1::VAR_DETAIL_TOKENS);
  ASSERT_THAT(report.tokens(), SizeIs(2));
  EXPECT_EQ(report.tokens(0).position(), 9U);
  EXPECT_EQ(report.tokens(0).token_id(), 50U);
  EXPECT_EQ(report.tokens(0).visual_attention_before(), 0.6F);
  EXPECT_FALSE(report.tokens(0).generated());
  EXPECT_EQ(report.tokens(1).token_id(), static_cast<uint32_t>(generated_[0]));
  EXPECT_TRUE(report.tokens(1).generated());
  EXPECT_EQ(report.tokens(1).text(), " image");
  EXPECT_THAT(report.maps(), IsEmpty());
}

TEST_F(ReportConversionTest, MapsCoverEachPicturesGrid) {
  const v1::VarReport report = Convert(v1::VAR_DETAIL_MAPS);
  ASSERT_THAT(report.maps(), SizeIs(4));
  EXPECT_EQ(report.maps(0).position(), 9U);
  EXPECT_EQ(report.maps(0).rows(), 2U);
  EXPECT_THAT(report.maps(0).before(), ElementsAre(1, 2, 3, 4)) << "without the class token";
  EXPECT_THAT(report.maps(0).after(), ElementsAre(11, 12, 13, 14));
  EXPECT_EQ(report.maps(1).image(), 1U);
  EXPECT_THAT(report.maps(1).before(), ElementsAre(5, 6));
  EXPECT_EQ(report.maps(2).position(), 10U);
  EXPECT_FALSE(report.maps_truncated());
}

TEST_F(ReportConversionTest, MapsBeyondTheLimitAreLeftOut) {
  report_.maps.resize(50, report_.maps[0]);
  for (const int64_t limit : {100, 1000, 3000}) {
    const v1::VarReport report = Convert(v1::VAR_DETAIL_MAPS, limit);
    EXPECT_TRUE(report.maps_truncated());
    v1::VarReport only_maps;
    *only_maps.mutable_maps() = report.maps();
    EXPECT_LE(static_cast<int64_t>(only_maps.ByteSizeLong()), limit);
    EXPECT_GE(report.maps_size(), limit / 100) << "what fits is there";
  }
  EXPECT_FALSE(Convert(v1::VAR_DETAIL_MAPS, 100 * 100).maps_truncated());
}

TEST_F(ReportConversionTest, SinksAndTokensBeyondTheLimitAreLeftOut) {
  report_.visual_sinks.resize(50, report_.visual_sinks[0]);
  report_.rows.resize(50, report_.rows[0]);
  const size_t all = Convert(v1::VAR_DETAIL_TOKENS).ByteSizeLong();
  const size_t totals = Convert(v1::VAR_DETAIL_NONE).ByteSizeLong();
  for (size_t limit = 60; totals + limit < all; limit += 50) {
    const v1::VarReport report = Convert(v1::VAR_DETAIL_TOKENS, 0, limit);
    EXPECT_LE(report.ByteSizeLong(), totals + limit);
    EXPECT_EQ(report.visual_sinks_truncated(), report.visual_sinks_size() < 50);
    EXPECT_TRUE(report.tokens_truncated());
    EXPECT_THAT(report.layers(), SizeIs(1)) << "they are few";
  }
}

}  // namespace
}  // namespace varserve::interventions
