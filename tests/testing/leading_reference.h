// LeadingTokens by its definition, slowly.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "server/backend/leading_tokens.h"

namespace varserve::testing {

inline backend::LeadingTokens LeadingOf(std::span<const float> logits, float temperature) {
  using backend::LeadingTokens;
  const auto vocabulary = static_cast<int64_t>(logits.size());
  float floor = -std::numeric_limits<float>::infinity();
  if (vocabulary > LeadingTokens::kRoom) {
    std::vector<float> maxima;
    for (size_t begin = 0; begin < logits.size(); begin += LeadingTokens::kBlock) {
      const auto block =
          logits.subspan(begin, std::min<size_t>(LeadingTokens::kBlock, logits.size() - begin));
      maxima.push_back(*std::max_element(block.begin(), block.end()));
    }
    std::sort(maxima.begin(), maxima.end(), std::greater<>());
    floor = maxima[LeadingTokens::LeastOf(vocabulary) - 1];
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  LeadingTokens leading{};
  int count = 0;
  double total = 0.0;
  double total_at_one = 0.0;
  for (size_t id = 0; id < logits.size(); ++id) {
    total += std::exp((logits[id] - largest) / temperature);
    total_at_one += std::exp(logits[id] - largest);
    if (logits[id] < floor) continue;
    if (count < LeadingTokens::kRoom) {
      leading.ids[count] = static_cast<float>(id);
      leading.logits[count] = logits[id];
    }
    ++count;
  }
  leading.count = static_cast<float>(count);
  leading.total_weight = static_cast<float>(total);
  leading.total_weight_at_one = static_cast<float>(total_at_one);
  return leading;
}

}  // namespace varserve::testing
