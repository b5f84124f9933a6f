#include "server/chat/request_scan.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <functional>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/chat/utf8_check.h"

namespace varserve::chat {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::StartsWith;

constexpr RequestLimits kLimits{.max_images = 3, .max_messages = 4, .max_parts = 6, .num_layers = 5};

// The bytes come in pieces of `size`.
absl::Status ScanInPieces(const std::string& bytes, int size, const Descriptor& type) {
  google::protobuf::io::ArrayInputStream pieces(bytes.data(), static_cast<int>(bytes.size()), size);
  return ScanRequest(pieces, type, kLimits);
}

template <typename Request>
absl::Status Scan(const Request& request, const std::string& more = "") {
  const std::string bytes = request.SerializeAsString() + more;
  const absl::Status whole = ScanInPieces(bytes, 1 << 20, *Request::descriptor());
  for (const int size : {1, 2, 3, 7}) {
    EXPECT_EQ(ScanInPieces(bytes, size, *Request::descriptor()), whole) << size;
  }
  return whole;
}

void ExpectInvalid(const absl::Status& status, const std::string& message) {
  EXPECT_EQ(status, absl::InvalidArgumentError(message));
}

template <typename Message, typename Add>
Message Repeated(int count, Add add) {
  Message message;
  for (int i = 0; i < count; ++i) add(message);
  return message;
}

TEST(RequestScanTest, ImagesOfAQuestion) {
  const auto images = [](int n) {
    return Repeated<v1::AnswerRequest>(n, [](auto& r) { r.add_images()->set_data("\xff\x00picture"); });
  };
  EXPECT_TRUE(Scan(images(3)).ok());
  ExpectInvalid(Scan(images(4)), "images[3]: at most 3 images per request (Limits.max_images)");
}

TEST(RequestScanTest, MessagesPartsAndTheirImages) {
  const auto chat = [](int messages, int parts, bool images) {
    return Repeated<v1::GenerateRequest>(messages, [=](auto& r) {
      v1::Message* message = r.add_messages();
      for (int i = 0; i < parts; ++i)
        images ? (void)message->add_parts()->mutable_image() : (void)message->add_parts();
    });
  };
  EXPECT_TRUE(Scan(chat(4, 1, false)).ok());
  ExpectInvalid(Scan(chat(5, 0, false)), "messages[4]: at most 4 messages (Limits.max_messages)");
  EXPECT_TRUE(Scan(chat(2, 3, false)).ok());
  ExpectInvalid(Scan(chat(2, 4, false)),
                "messages[1].parts[2]: at most 6 parts in all messages (Limits.max_parts)");
  EXPECT_TRUE(Scan(chat(3, 1, true)).ok());
  ExpectInvalid(Scan(chat(2, 2, true)),
                "messages[1].parts[1].image: at most 3 images per request (Limits.max_images)");
  v1::CompareRequest compare;
  *compare.mutable_request() = chat(5, 0, false);
  ExpectInvalid(Scan(compare), "request.messages[4]: at most 4 messages (Limits.max_messages)");
}

TEST(RequestScanTest, StopStrings) {
  const auto request = Repeated<v1::CaptionRequest>(9, [](auto& r) { r.mutable_options()->add_stop("x"); });
  ExpectInvalid(Scan(request), "options.stop[8]: at most 8 stop strings");
}

TEST(RequestScanTest, SettingsAndTheLayersOfEach) {
  const auto compare = [](int settings, int layers) {
    return Repeated<v1::CompareRequest>(settings, [=](auto& r) {
      v1::VarOptions* setting = r.add_settings();
      for (int i = 0; i < layers; ++i) setting->add_map_layers(300);
    });
  };
  EXPECT_TRUE(Scan(compare(8, 5)).ok());
  ExpectInvalid(Scan(compare(9, 0)), "settings[8]: at most 8 settings (Limits.max_settings)");
  ExpectInvalid(Scan(compare(2, 6)),
                "settings[0].map_layers: at most 5 layers; the model has no more, and counts them from 0");
  const auto any = [](int interventions, int layers) {
    return Repeated<v1::CompareRequest>(interventions, [=](auto& r) {
      v1::VarOptions* var = r.add_interventions()->mutable_var();
      for (int i = 0; i < layers; ++i) var->add_map_layers(300);
    });
  };
  EXPECT_TRUE(Scan(any(8, 5)).ok());
  ExpectInvalid(Scan(any(9, 0)), "interventions[8]: at most 8 interventions (Limits.max_settings)");
  ExpectInvalid(
      Scan(any(2, 6)),
      "interventions[0].var.map_layers: at most 5 layers; the model has no more, and counts them from 0");
  // One by one, not packed, and in several occurrences of one message.
  v1::AnswerRequest request;
  const std::string one = {0x22, 0x02, 0x58, 0x01};  // var { map_layers: 1 }
  EXPECT_TRUE(Scan(request, one + one + one + one + one).ok());
  EXPECT_THAT(std::string(Scan(request, one + one + one + one + one + one).message()),
              StartsWith("var.map_layers"));
}

TEST(RequestScanTest, FieldsThatAreNotKnown) {
  std::string unknown;
  for (int i = 0; i < 256; ++i) unknown += {0x70, 0x01};  // field 14: 1
  v1::AnswerRequest request;
  EXPECT_TRUE(Scan(request, unknown).ok());
  ExpectInvalid(Scan(request, unknown + "\x70\x01"), "request: more than 256 fields are not known");
  std::string image = "\x0a\x04\x70\x01\x70\x01";  // images { 14: 1 14: 1 }
  ExpectInvalid(Scan(request, unknown + image), "images[0]: more than 256 fields are not known");
}

TEST(RequestScanTest, StringsThatAreNotUtf8) {
  v1::GenerateRequest chat;
  chat.add_messages()->add_parts()->set_text("Hütte, 山, 🙂");
  chat.add_messages()->add_parts()->set_text("fine");
  chat.mutable_messages(1)->add_parts()->set_text("caf\xe9");
  ExpectInvalid(Scan(chat), "messages[1].parts[1].text: is not valid UTF-8");
  chat.mutable_messages(1)->mutable_parts(1)->set_text("half a \xf0\x9f\x99");
  ExpectInvalid(Scan(chat), "messages[1].parts[1].text: is not valid UTF-8");
}

TEST(RequestScanTest, WhatIsNoMessage) {
  const std::string problem = "request: is not a varserve.v1.AnswerRequest message";
  for (const std::string& bytes : {std::string("\xff\xff\xff"), std::string("\x0b\x0c"), std::string("\x12"),
                                   std::string("\x12\x05"
                                               "ab")}) {
    ExpectInvalid(ScanInPieces(bytes, 1, *v1::AnswerRequest::descriptor()), problem);
  }
}

// What the scan takes for granted about the schema.
TEST(RequestScanTest, TheSchemaIsAsTheScanKnowsIt) {
  std::set<const Descriptor*> seen;
  const std::set<std::string> limited = {"varserve.v1.AnswerRequest.images",
                                         "varserve.v1.GenerateRequest.messages",
                                         "varserve.v1.Message.parts",
                                         "varserve.v1.GenerateOptions.stop",
                                         "varserve.v1.VarOptions.map_layers",
                                         "varserve.v1.CompareRequest.settings",
                                         "varserve.v1.CompareRequest.interventions"};
  std::set<std::string> repeated;
  const std::function<void(const Descriptor*)> look = [&](const Descriptor* type) {
    if (!seen.insert(type).second) return;
    EXPECT_LE(type->field_count(), 16);
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (field->is_repeated()) repeated.insert(field->full_name());
      if (field->is_packable()) {
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_UINT32) << "a varint";
      }
      if (field->type() == FieldDescriptor::TYPE_MESSAGE) look(field->message_type());
    }
  };
  for (const Descriptor* type : {v1::AnswerRequest::descriptor(), v1::CaptionRequest::descriptor(),
                                 v1::GenerateRequest::descriptor(), v1::CompareRequest::descriptor()}) {
    look(type);
  }
  EXPECT_EQ(repeated, limited) << "whatever repeats needs a limit";
}

TEST(Utf8CheckTest, AgreesWithTheStandard) {
  // Every code point is UTF-8, in one piece and in many; no surrogate is, and nothing too long or too large.
  for (uint32_t rune = 0; rune < 0x110000; rune += rune < 0x900 ? 1 : 61) {
    std::string text;
    if (rune < 0x80) {
      text = {static_cast<char>(rune)};
    } else if (rune < 0x800) {
      text = {static_cast<char>(0xc0 | rune >> 6), static_cast<char>(0x80 | (rune & 63))};
    } else if (rune < 0x10000) {
      text = {static_cast<char>(0xe0 | rune >> 12), static_cast<char>(0x80 | (rune >> 6 & 63)),
              static_cast<char>(0x80 | (rune & 63))};
    } else {
      text = {static_cast<char>(0xf0 | rune >> 18), static_cast<char>(0x80 | (rune >> 12 & 63)),
              static_cast<char>(0x80 | (rune >> 6 & 63)), static_cast<char>(0x80 | (rune & 63))};
    }
    const bool surrogate = rune >= 0xd800 && rune < 0xe000;
    Utf8Check whole;
    whole.Add("padding, so that eight at a time are read" + text);
    EXPECT_EQ(whole.Whole(), !surrogate) << rune;
    Utf8Check pieces;
    for (const char c : text) pieces.Add({&c, 1});
    EXPECT_EQ(pieces.Whole(), !surrogate) << rune;
    if (text.size() > 1) {
      Utf8Check half;
      half.Add(text.substr(0, text.size() - 1));
      EXPECT_FALSE(half.Whole()) << rune;
    }
  }
  for (const char* bad :
       {"\xff", "\xc0\xaf", "\xc1\xbf", "a\xc3", "\xed\xa0\x80", "\xe0\x80\xaf", "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80", "\x80", "\xc3\xc3"}) {
    Utf8Check check;
    check.Add(bad);
    EXPECT_FALSE(check.Whole()) << bad;
  }
}

}  // namespace
}  // namespace varserve::chat
