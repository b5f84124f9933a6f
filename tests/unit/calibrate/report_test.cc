#include "tools/calibrate/report.h"

#include <gmock/gmock.h>

#include "absl/strings/str_split.h"
#include "tests/unit/calibrate/observations.h"

namespace varserve::calibrate {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ReportTest, VotesAreSortedAndCut) {
  const std::string table = VoteTable({{1, 0.01}, {2, 0.02}, {3, 0.03}, {4, 0.04}, {5, 0.9}, {6, 0.05}});
  EXPECT_THAT(table, ContainsRegex("5 +90%\n +6 +5%\n +4 +4%"));
  EXPECT_THAT(table, Not(HasSubstr("        1 ")));
}

TEST(ReportTest, OneLineForEveryLayer) {
  const std::vector<std::string> lines = absl::StrSplit(LayerTable(MakeCalibration()), '\n');
  ASSERT_EQ(lines.size(), 2 + kLayers + 1);
  EXPECT_THAT(lines[2], ContainsRegex("^ +0 +0.0 +0.0 +0% +5.0 +- +- +-$"));
  EXPECT_THAT(lines[3], ContainsRegex("^ +1 +2.0 +1.0 +65% +5.0 +30.0 +67% +67%$"));
}

TEST(ReportTest, HistogramCountsTheTokensOfLayersWithSinks) {
  const std::string drawing = PhiHistogram(MakeCalibration(), MakeObservations(), 12);
  const std::vector<std::string> lines = absl::StrSplit(drawing, '\n');
  EXPECT_THAT(lines[0], HasSubstr("36 tokens"));
  EXPECT_THAT(
      drawing,
      HasSubstr("\u2502\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588 6\n"));
  int with_tau = 0;
  for (const std::string& line : lines) with_tau += line.find("tau") != std::string::npos ? 1 : 0;
  EXPECT_EQ(with_tau, 1);
}

}  // namespace
}  // namespace varserve::calibrate
