#include "client/cli/suggestion.h"

#include <gtest/gtest.h>

namespace varserve::cli {
namespace {

TEST(ClosestWord, FindsWhatWasMeant) {
  const std::vector<std::string> flags = {"--tau", "--rho", "--top-p", "--max-tokens"};
  EXPECT_EQ(ClosestWord("--tua", flags), "--tau");
  EXPECT_EQ(ClosestWord("--max-token", flags), "--max-tokens");
  EXPECT_EQ(ClosestWord("--topp", flags), "--top-p");
  EXPECT_EQ(ClosestWord("aks", {"ask", "chat"}), "ask");
}

TEST(ClosestWord, IsSilentWhenNothingIsClose) {
  EXPECT_EQ(ClosestWord("--colour", {"--tau", "--rho"}), "");
  EXPECT_EQ(ClosestWord("x", {}), "");
}

}  // namespace
}  // namespace varserve::cli
