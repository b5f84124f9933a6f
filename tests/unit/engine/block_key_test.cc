#include "server/engine/block_key.h"

#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

constexpr int kBlockSize = 4;

std::vector<Digest> Keys(const GenerationRequest& request, const Digest& fingerprint = {}) {
  return PromptBlockKeys(fingerprint, request, SlotLayout(request.prompt->prefix_size(), kBlockSize));
}

// Leading blocks that two requests share.
int Shared(const GenerationRequest& a, const GenerationRequest& b) {
  const std::vector<Digest> keys_a = Keys(a);
  const std::vector<Digest> keys_b = Keys(b);
  size_t shared = 0;
  while (shared < std::min(keys_a.size(), keys_b.size()) && keys_a[shared] == keys_b[shared]) ++shared;
  for (size_t i = shared; i < std::min(keys_a.size(), keys_b.size()); ++i) {
    EXPECT_NE(keys_a[i], keys_b[i]) << "a chain that has parted met again at block " << i;
  }
  return static_cast<int>(shared);
}

// Prefix of 3 + 4 tokens in blocks 0 and 1, suffix of 8 tokens in blocks 2 and 3.
PromptBuilder Picture(uint8_t picture, int question = 0) {
  return PromptBuilder().Text(3).Image(picture, 2, 2).Text(8, question);
}

TEST(BlockKeyTest, CallersWithRootsOfTheirOwnShareNothing) {
  const GenerationRequest request = MakeRequest(Picture(1).Build(), 1);
  const Digest fingerprint{7};
  const std::vector<Digest> shared = Keys(request, fingerprint);
  const std::vector<Digest> a = Keys(request, CallerRoot(fingerprint, "a"));
  const std::vector<Digest> b = Keys(request, CallerRoot(fingerprint, "b"));
  EXPECT_EQ(a, Keys(request, CallerRoot(fingerprint, "a")));
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NE(a[i], b[i]);
    EXPECT_NE(a[i], shared[i]);
  }
  EXPECT_NE(CallerRoot(fingerprint, ""), fingerprint);
  EXPECT_NE(CallerRoot(fingerprint, "a"), CallerRoot(Digest{8}, "a"));
}

TEST(BlockKeyTest, CountsBlocksOfThePromptAlone) {
  struct Case {
    PromptBuilder prompt;
    size_t blocks;
  };
  const Case cases[] = {
      {PromptBuilder().Text(1), 1},                         // only a prefix, partly filled
      {PromptBuilder().Text(4), 1},                         // only a prefix, full
      {PromptBuilder().Text(5), 2},                         //
      {PromptBuilder().Text(3).Image(1, 2, 2), 2},          // the image ends the prompt
      {PromptBuilder().Text(3).Image(1, 2, 2).Text(3), 2},  // the suffix does not fill a block
      {PromptBuilder().Text(3).Image(1, 2, 2).Text(4), 3},
      {PromptBuilder().Text(4).Image(1, 2, 2).Text(11), 4},
  };
  for (const Case& c : cases) {
    const auto prompt = c.prompt.Build();
    EXPECT_EQ(Keys(MakeRequest(prompt, 1)).size(), c.blocks) << prompt->size();
  }
}

TEST(BlockKeyTest, EqualPromptsShareEverything) {
  EXPECT_EQ(Shared(MakeRequest(Picture(1).Build(), 5), MakeRequest(Picture(1).Build(), 9)), 4);
}

TEST(BlockKeyTest, OtherQuestionSharesThePrefix) {
  EXPECT_EQ(Shared(MakeRequest(Picture(1, 0).Build(), 5), MakeRequest(Picture(1, 1).Build(), 5)), 2);
}

TEST(BlockKeyTest, OtherPictureWithTheSameIdsSharesNothingFromItsFirstTokenOn) {
  const auto a = Picture(1).Build();
  const auto b = Picture(2).Build();
  ASSERT_EQ(a->token_ids, b->token_ids);
  EXPECT_EQ(Shared(MakeRequest(a, 5), MakeRequest(b, 5)), 0);  // block 0 holds 3 text tokens and a visual one
  EXPECT_EQ(Shared(MakeRequest(PromptBuilder().Text(4).Image(1, 2, 2).Build(), 5),
                   MakeRequest(PromptBuilder().Text(4).Image(2, 2, 2).Build(), 5)),
            1);
}

TEST(BlockKeyTest, PlaceholderIdAsTextIsNoPicture) {
  const auto text =
      PromptBuilder().Text(3).Tokens(std::vector<int32_t>(4, testing::kImagePlaceholder)).Build();
  const auto image = PromptBuilder().Text(3).Image(1, 2, 2).Build();
  ASSERT_EQ(text->token_ids, image->token_ids);
  EXPECT_EQ(Shared(MakeRequest(text, 5), MakeRequest(image, 5)), 0);
}

TEST(BlockKeyTest, VarSettingPartsOnlyTheSuffix) {
  const auto prompt = Picture(1).Build();
  VarSettings off_other_knobs = kOff;
  off_other_knobs.tau = 1.0F;
  struct Case {
    VarSettings a;
    VarSettings b;
    int shared;
  };
  std::vector<Case> cases = {
      {kOff, off_other_knobs, 4}, {kOn, kOn, 4}, {kOff, kOn, 2}, {kOff, kObserve, 2}, {kObserve, kOn, 2}};
  const auto add = [&cases](auto change) {
    VarSettings other = kOn;
    change(other);
    cases.push_back({kOn, other, 2});
  };
  add([](VarSettings& var) { var.variant = VarVariant::kAuthorsCode; });
  add([](VarSettings& var) { var.tau += 1; });
  add([](VarSettings& var) { var.rho += 0.1F; });
  add([](VarSettings& var) { var.p += 0.1F; });
  add([](VarSettings& var) { var.min_visual_attention += 0.1F; });
  add([](VarSettings& var) { ++var.first_layer; });
  add([](VarSettings& var) { ++var.last_layer; });
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(Shared(MakeRequest(prompt, 5, cases[i].a), MakeRequest(prompt, 5, cases[i].b)), cases[i].shared)
        << i;
  }
}

TEST(BlockKeyTest, FingerprintOfTheModelPartsAll) {
  const auto request = MakeRequest(Picture(1).Build(), 5);
  Digest other{};
  other[31] = 1;
  EXPECT_NE(Keys(request)[0], Keys(request, other)[0]);
  EXPECT_NE(Keys(request)[3], Keys(request, other)[3]);
}

TEST(BlockKeyTest, PartlyFilledPrefixBlockIsNotTheFullOne) {
  const auto shorter = PromptBuilder().Tokens({1, 2, 3, 4, 5, 6}).Build();
  const auto longer = PromptBuilder().Tokens({1, 2, 3, 4, 5, 6, 7, 8}).Build();
  EXPECT_EQ(Shared(MakeRequest(shorter, 5), MakeRequest(longer, 5)), 1);
}

TEST(BlockKeyTest, GeneratedTokensHaveTheKeyOfTheSamePromptTokens) {
  const auto shorter = PromptBuilder().Text(4).Image(1, 2, 2).Tokens({5, 6}).Build();
  const auto longer = PromptBuilder().Text(4).Image(1, 2, 2).Tokens({5, 6, 7, 8}).Build();
  for (const VarSettings& var : {kOff, kOn}) {
    const auto request = MakeRequest(shorter, 5, var);
    const std::vector<int32_t> generated = {7, 8, 9};
    EXPECT_EQ(BlockKey(Keys(request).back(), request, generated, 8, 12),
              Keys(MakeRequest(longer, 5, var)).back());
  }
}

}  // namespace
}  // namespace varserve::engine
