#include "client/image_digest.h"

#include <gtest/gtest.h>

#include "absl/strings/ascii.h"

namespace varserve::client {
namespace {

// SHA-256 of "abc", FIPS 180-4's example.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(ImageDigest, IsOverAllImagesInOrder) {
  v1::AnswerRequest answer;
  answer.add_images()->set_data("a");
  answer.add_images()->set_data("bc");
  EXPECT_EQ(ImageDigest(answer), kAbc);
  answer.mutable_images()->SwapElements(0, 1);
  EXPECT_NE(ImageDigest(answer), kAbc);
}

TEST(ImageDigest, IsTheSameForEveryKindOfRequest) {
  v1::CaptionRequest caption;
  caption.mutable_image()->set_data("abc");
  EXPECT_EQ(ImageDigest(caption), kAbc);

  v1::CompareRequest compare;
  for (const char* image : {"a", "bc"}) {
    v1::Message& message = *compare.mutable_request()->add_messages();
    message.add_parts()->set_text("text");
    message.add_parts()->mutable_image()->set_data(image);
  }
  EXPECT_EQ(ImageDigest(compare.request()), kAbc);
  EXPECT_EQ(ImageDigest(compare), kAbc);
}

TEST(ImageDigest, IsThatOfTheOnlyImageIfThatIsNamed) {
  v1::AnswerRequest request;
  request.add_images()->set_sha256(absl::AsciiStrToUpper(kAbc));
  EXPECT_EQ(ImageDigest(request), kAbc);
  request.add_images()->set_data("abc");
  EXPECT_EQ(ImageDigest(request), "") << "of both together it is not known";
}

TEST(ImageDigest, IsEmptyWithoutImages) {
  v1::GenerateRequest request;
  request.add_messages()->add_parts()->set_text("text");
  EXPECT_EQ(ImageDigest(request), "");
  EXPECT_EQ(ImageDigest(v1::AnswerRequest()), "");
}

}  // namespace
}  // namespace varserve::client
