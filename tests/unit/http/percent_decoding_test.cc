#include "server/http/percent_decoding.h"

#include "gtest/gtest.h"

namespace varserve::http {
namespace {

TEST(PercentDecodingTest, EachEscapeIsAByte) {
  EXPECT_EQ(PercentDecoded(""), "");
  EXPECT_EQ(PercentDecoded("llava-1.5+var/x"), "llava-1.5+var/x");
  EXPECT_EQ(PercentDecoded("my%20model%2Fx%2bvar"), "my model/x+var");
  EXPECT_EQ(PercentDecoded("%c3%A9"), "\u00e9");
  EXPECT_EQ(PercentDecoded("%00"), std::string(1, '\0'));
  EXPECT_EQ(PercentDecoded("%2520"), "%20") << "once";
}

TEST(PercentDecodingTest, BrokenEscapes) {
  for (const char* text : {"%", "a%", "%2", "%2 0", "%g0", "%0g", "%%20", "%+1", "%-1"})
    EXPECT_EQ(PercentDecoded(text), std::nullopt) << text;
}

}  // namespace
}  // namespace varserve::http
