#include "server/base/digest.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace varserve {
namespace {

TEST(DigestTest, IsTheStandards) {
  // FIPS 180-4's example, and nothing.
  EXPECT_EQ(absl::BytesToHexString(BytesOf(Sha256({"abc"}))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(absl::BytesToHexString(BytesOf(Sha256({}))),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(DigestTest, PiecesAreOneText) {
  EXPECT_EQ(Sha256({"a", "", "bc"}), Sha256({"abc"}));
  EXPECT_NE(Sha256({"a", "cb"}), Sha256({"abc"}));
}

TEST(DigestTest, ReadsHexadecimalDigits) {
  const Digest digest = Sha256({"abc"});
  const std::string hex = absl::BytesToHexString(BytesOf(digest));
  EXPECT_EQ(DigestFromHex(hex), digest);
  EXPECT_EQ(DigestFromHex(absl::AsciiStrToUpper(hex)), digest);
  const absl::string_view shorter = absl::string_view(hex).substr(1);
  EXPECT_EQ(DigestFromHex(shorter), std::nullopt);
  EXPECT_EQ(DigestFromHex(absl::StrCat(hex, "0")), std::nullopt);
  EXPECT_EQ(DigestFromHex(absl::StrCat("g", shorter)), std::nullopt);
  EXPECT_EQ(DigestFromHex(""), std::nullopt);
}

}  // namespace
}  // namespace varserve
