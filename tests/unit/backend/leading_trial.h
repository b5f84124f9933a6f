// FindLeading of any backend against its definition.
#pragma once

#include <gtest/gtest.h>

#include <limits>

#include "server/backend/layer_ops.h"
#include "tests/testing/leading_reference.h"
#include "tests/unit/backend/layer_results.h"

namespace varserve::backend {

// Rows of many kinds; the sampled ones in another order than the rows'.
inline void TryFindLeading(const LayerOps& ops, at::Device device) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const int64_t vocabulary : {1, 100, 1024, 1025, 5003, 40000}) {
    at::Tensor logits = at::randn({6, vocabulary}) * 3;
    logits[1].floor_();                            // ties, at the floor too
    logits[2].fill_(-2.5);                         // more than there is room for
    logits[3].slice(0, 1).fill_(-kInfinity);       // one token only
    logits[4] = -logits[4].abs() - 1e-3;           // negative
    logits[5] = at::arange(vocabulary) % 77 - 38;  // of both signs
    const at::Tensor rows = at::tensor({5, 0, 3, 1, 4, 2}, at::kLong);
    const at::Tensor temperatures = at::tensor({1.0F, 0.7F, 2.0F, 1.0F, 0.05F, 1.5F});
    const auto found = FindLeading(ops, logits.to(device), rows.to(device), temperatures.to(device));
    for (int64_t i = 0; i < rows.numel(); ++i) {
      SCOPED_TRACE(::testing::Message() << vocabulary << " logits, row " << rows[i].item<int64_t>());
      const at::Tensor row = logits[rows[i].item<int64_t>()];
      const LeadingTokens expected = testing::LeadingOf(
          {row.const_data_ptr<float>(), static_cast<size_t>(vocabulary)}, temperatures[i].item<float>());
      EXPECT_EQ(found[i].count, expected.count);
      EXPECT_NEAR(found[i].total_weight / expected.total_weight, 1, 5e-6);
      EXPECT_NEAR(found[i].total_weight_at_one / expected.total_weight_at_one, 1, 5e-6);
      if (expected.count > LeadingTokens::kRoom) continue;
      const auto count = static_cast<size_t>(expected.count);
      EXPECT_TRUE(std::equal(expected.ids, expected.ids + count, found[i].ids));
      EXPECT_TRUE(std::equal(expected.logits, expected.logits + count, found[i].logits));
    }
  }
}

}  // namespace varserve::backend
