#include "server/grpc/request_parser.h"

#include "gtest/gtest.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::rpc {
namespace {

constexpr chat::RequestLimits kLimits{.num_layers = 4};

// The bytes as they may come from the network, in two slices.
grpc::ByteBuffer Bytes(const std::string& text) {
  const size_t half = text.size() / 2;
  const grpc::Slice slices[] = {grpc::Slice(text.substr(0, half)), grpc::Slice(text.substr(half))};
  return {slices, 2};
}

// A length-delimited field.
std::string Field(int number, const std::string& content) {
  return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(content.size()) + content;
}

TEST(RequestParserTest, ReadsAMessage) {
  v1::AnswerRequest sent;
  sent.add_images()->set_data(std::string("\xff\xd8\x00\x01", 4));
  sent.set_question("Wie viele Hütten?");
  sent.mutable_options()->set_max_tokens(3);
  v1::AnswerRequest read;
  ASSERT_TRUE(ParseRequest(Bytes(sent.SerializeAsString()), kLimits, read).ok());
  EXPECT_EQ(read.SerializeAsString(), sent.SerializeAsString());
}

TEST(RequestParserTest, ReadsAnEmptyMessage) {
  v1::AnswerRequest read;
  EXPECT_TRUE(ParseRequest(Bytes(""), kLimits, read).ok());
}

TEST(RequestParserTest, NamesTheFieldThatIsNotUtf8) {
  const std::string bad_texts[] = {"\xff",         "\xc0\xaf",         "a\xc3",           "\xed\xa0\x80",
                                   "\xe0\x80\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80"};
  for (const std::string& bad : bad_texts) {
    v1::AnswerRequest answer;
    EXPECT_EQ(ParseRequest(Bytes(Field(2, bad)), kLimits, answer),
              absl::InvalidArgumentError("question: is not valid UTF-8"));
    v1::GenerateRequest chat;
    const std::string ok_part = Field(2, Field(1, "fine"));
    const std::string bad_part = Field(2, Field(1, bad));
    EXPECT_EQ(ParseRequest(Bytes(Field(1, ok_part) + Field(1, ok_part + bad_part)), kLimits, chat),
              absl::InvalidArgumentError("messages[1].parts[1].text: is not valid UTF-8"));
  }
}

TEST(RequestParserTest, TakesPictureBytesAsTheyAre) {
  v1::AnswerRequest read;
  ASSERT_TRUE(ParseRequest(Bytes(Field(1, Field(1, "\xff\xfe"))), kLimits, read).ok());
  EXPECT_EQ(read.images(0).data(), "\xff\xfe");
}

TEST(RequestParserTest, RefusesWhatIsNoMessage) {
  for (const std::string& bytes :
       {std::string("\x0a\x7f"), std::string("\xff\xff\xff"), Field(2, "x") + "\x0b"}) {
    v1::AnswerRequest read;
    EXPECT_EQ(ParseRequest(Bytes(bytes), kLimits, read),
              absl::InvalidArgumentError("request: is not a varserve.v1.AnswerRequest message"));
  }
}

}  // namespace
}  // namespace varserve::rpc
