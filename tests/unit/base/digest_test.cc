#include "server/base/digest.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
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
  for (const std::string& wrong : {hex.substr(1), hex + "0", "g" + hex.substr(1), std::string()})
    EXPECT_EQ(DigestFromHex(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace varserve
