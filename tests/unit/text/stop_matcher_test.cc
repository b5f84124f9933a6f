#include "server/text/stop_matcher.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace varserve::text {
namespace {

struct Outcome {
  std::string sent;
  bool stopped = false;
};

Outcome Match(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Outcome outcome;
  for (const std::string& piece : pieces) outcome.sent += matcher.Add(piece);
  outcome.stopped = matcher.stopped();
  outcome.sent += matcher.Finish();
  return outcome;
}

TEST(StopMatcherTest, SendsEverythingAtOnceWithoutStopStrings) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Add("abc"), "abc");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcherTest, HoldsBackOnlyWhatMayBecomeAStopString) {
  StopMatcher matcher({"END", "\n\n"});
  EXPECT_EQ(matcher.Add("one E"), "one ");
  EXPECT_EQ(matcher.Add("N"), "");
  EXPECT_EQ(matcher.Add("d\n"), "ENd");
  EXPECT_EQ(matcher.Add("two"), "\ntwo");
  EXPECT_EQ(matcher.Add(" EN"), " ");
  EXPECT_EQ(matcher.Finish(), "EN");
}

TEST(StopMatcherTest, NothingOfAStopStringIsSent) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.Add("go S"), "go ");
  EXPECT_EQ(matcher.Add("TO"), "");
  EXPECT_EQ(matcher.Add("P and more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.Add("later"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcherTest, TheFirstCompleteOneEndsTheAnswer) {
  EXPECT_EQ(Match({"b", "abcd"}, {"xabcd"}).sent, "xa");
  EXPECT_EQ(Match({"bc", "abc"}, {"xabc"}).sent, "x");  // both end at c: the longer one
  EXPECT_EQ(Match({"aab"}, {"aaaab"}).sent, "aa");
  EXPECT_EQ(Match({"é"}, {"naïv", "e caf\xC3\xA9s"}).sent, "naïve caf");
}

TEST(StopMatcherTest, HeldTextEndsTheAnswerButIsNotSent) {
  StopMatcher matcher({"\n\n"});
  EXPECT_EQ(matcher.Add("a", "\n"), "a");
  EXPECT_EQ(matcher.Add("\n", ""), "");  // it comes again, as what it has become
  EXPECT_EQ(matcher.Add("b", "é\n"), "\nb");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.Add("", "é\n\n"), "é") << "the answer ends here, so this is final";
  EXPECT_TRUE(matcher.stopped());

  StopMatcher changed({"b\n"});
  EXPECT_EQ(changed.Add("ab", ""), "a");
  EXPECT_EQ(changed.Add("", ""), "");
  EXPECT_EQ(changed.Add("", "\n"), "");
  EXPECT_TRUE(changed.stopped()) << "across what is final and what is held";
}

TEST(StopMatcherTest, CuttingMakesNoDifference) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    const auto word = [&](size_t size) {
      std::string text(size, 'a');
      for (char& c : text) c = static_cast<char>('a' + random() % 3);
      return text;
    };
    std::vector<std::string> stops;
    for (size_t i = 0; i < 1 + random() % 3; ++i) stops.push_back(word(1 + random() % 4));
    const std::string text = word(random() % 20);

    // Reference: letter by letter, the first time the text ends with a stop string.
    std::string expected = text;
    bool stopped = false;
    for (size_t end = 1; end <= text.size() && !stopped; ++end) {
      size_t longest = 0;
      for (const std::string& stop : stops) {
        if (end >= stop.size() && text.compare(end - stop.size(), stop.size(), stop) == 0) {
          longest = std::max(longest, stop.size());
        }
      }
      if (longest == 0) continue;
      stopped = true;
      expected = text.substr(0, end - longest);
    }

    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size(); at += pieces.back().size())
      pieces.push_back(text.substr(at, random() % 6));
    const Outcome outcome = Match(stops, pieces);
    EXPECT_EQ(outcome.sent, expected) << text;
    EXPECT_EQ(outcome.stopped, stopped) << text;
  }
}

}  // namespace
}  // namespace varserve::text
