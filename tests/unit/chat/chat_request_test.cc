#include "server/chat/chat_request.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::chat {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using text::ImagePart;
using text::Role;

v1::AnswerRequest Question() {
  v1::AnswerRequest request;
  request.add_images()->set_data("picture");
  request.set_question("What?");
  return request;
}

v1::Message* AddText(v1::GenerateRequest& request, v1::Role role, const std::string& text) {
  v1::Message* message = request.add_messages();
  message->set_role(role);
  message->add_parts()->set_text(text);
  return message;
}

v1::GenerateRequest Chat() {
  v1::GenerateRequest request;
  AddText(request, v1::ROLE_SYSTEM, "Be brief.");
  v1::Message* first = AddText(request, v1::ROLE_USER, "Look: ");
  first->add_parts()->mutable_image()->set_data("one");
  first->add_parts()->mutable_image()->set_data("two");
  AddText(request, v1::ROLE_ASSISTANT, "Two cats.");
  AddText(request, v1::ROLE_USER, "And now?");
  return request;
}

v1::CompareRequest Comparison() {
  v1::CompareRequest request;
  *request.mutable_request() = Chat();
  request.add_settings()->set_mode(v1::VAR_MODE_OFF);
  request.add_settings()->set_mode(v1::VAR_MODE_ON);
  return request;
}

template <typename Request>
void ExpectRefusal(Request request, const std::function<void(Request&)>& change, const std::string& message) {
  ASSERT_TRUE(ReadChat(request).ok());
  change(request);
  EXPECT_EQ(ReadChat(request).status(), absl::InvalidArgumentError(message));
}

std::vector<std::string> Fields(const ChatRequest& chat) {
  std::vector<std::string> fields;
  for (const ChatRequest::Picture& picture : chat.pictures) fields.push_back(picture.field);
  return fields;
}

TEST(ChatRequestTest, AnswerPutsItsPicturesBeforeTheQuestion) {
  v1::AnswerRequest request = Question();
  request.add_images()->set_data("other");
  const auto chat = ReadChat(request);
  ASSERT_TRUE(chat.ok());
  EXPECT_THAT(Fields(*chat), ElementsAre("images[0].data", "images[1].data"));
  EXPECT_EQ(chat->pictures[1].bytes, &request.images(1).data()) << "not copied";
  ASSERT_EQ(chat->messages.size(), 1U);
  EXPECT_EQ(chat->messages[0].role, Role::kUser);
  ASSERT_EQ(chat->messages[0].parts.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<ImagePart>(chat->messages[0].parts[1]));
  EXPECT_EQ(std::get<std::string>(chat->messages[0].parts[2]), "What?");
  EXPECT_THAT(chat->settings,
              ElementsAre(FieldsAre(FieldsAre("var", &request.var()), FieldsAre("", nullptr))));
  EXPECT_EQ(chat->options_field, "options");
  EXPECT_EQ(chat->options, &request.options());
}

TEST(ChatRequestTest, AnInterventionIsItsMethod) {
  v1::AnswerRequest request = Question();
  request.mutable_intervention()->mutable_vaf();
  const auto chat = ReadChat(request);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_THAT(chat->settings,
              ElementsAre(FieldsAre(FieldsAre("intervention.vaf", &request.intervention().vaf()),
                                    FieldsAre("", nullptr))));
  request.mutable_intervention()->mutable_icd();
  const auto both = ReadChat(request);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_THAT(both->settings,
              ElementsAre(FieldsAre(FieldsAre("intervention.vaf", &request.intervention().vaf()),
                                    FieldsAre("intervention.icd", &request.intervention().icd()))));
  request.mutable_intervention()->clear_contrast();
  request.mutable_var();
  EXPECT_EQ(std::string(ReadChat(request).status().message()),
            "intervention: must not be set together with var; it can hold VAR as well");
  request.clear_var();
  request.mutable_intervention()->clear_method();
  EXPECT_EQ(
      std::string(ReadChat(request).status().message()),
      "intervention: has none of the methods that this server knows: var, pai, vaf, spin, vcd, icd, m3id");
}

TEST(ChatRequestTest, CompareTakesAnyMethods) {
  v1::CompareRequest request = Comparison();
  request.clear_settings();
  request.add_interventions()->mutable_var();
  request.add_interventions()->mutable_vcd();
  const auto chat = ReadChat(request);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_THAT(chat->settings,
              ElementsAre(FieldsAre(FieldsAre("interventions[0].var", &request.interventions(0).var()),
                                    FieldsAre("", nullptr)),
                          FieldsAre(FieldsAre("", nullptr),
                                    FieldsAre("interventions[1].vcd", &request.interventions(1).vcd()))));
}

TEST(ChatRequestTest, AnswerNamesWhatIsMissing) {
  using Request = v1::AnswerRequest;
  ExpectRefusal<Request>(
      Question(), [](Request& r) { r.clear_images(); }, "images: at least one is needed");
  ExpectRefusal<Request>(
      Question(), [](Request& r) { r.set_question(" \n"); }, "question: is empty");
  ExpectRefusal<Request>(
      Question(), [](Request& r) { r.add_images(); },
      "images[1].data: is empty; send the bytes of a JPEG, PNG or WebP");
}

TEST(ChatRequestTest, ADigestStandsInPlaceOfThePicture) {
  v1::AnswerRequest request = Question();
  request.add_images()->set_sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto chat = ReadChat(request);
  ASSERT_TRUE(chat.ok());
  EXPECT_THAT(Fields(*chat), ElementsAre("images[0].data", "images[1].sha256"));
  EXPECT_EQ(chat->pictures[1].bytes, nullptr);
  EXPECT_EQ(chat->pictures[1].digest, Sha256({"abc"}));
  EXPECT_EQ(chat->messages[0].parts.size(), 3U);
  ExpectRefusal<v1::AnswerRequest>(
      request, [](v1::AnswerRequest& r) { r.mutable_images(1)->set_sha256("abc"); },
      "images[1].sha256: is not the 64 hexadecimal digits of a picture's SHA-256");
}

TEST(ChatRequestTest, CaptionAsksByLength) {
  v1::CaptionRequest request;
  request.mutable_image()->set_data("picture");
  std::vector<std::string> prompts;
  for (int length = 0; length <= 3; ++length) {
    request.set_length(static_cast<v1::CaptionLength>(length));
    const auto chat = ReadChat(request);
    ASSERT_TRUE(chat.ok());
    EXPECT_THAT(Fields(*chat), ElementsAre("image.data"));
    prompts.push_back(std::get<std::string>(chat->messages[0].parts[1]));
  }
  EXPECT_EQ(prompts[0], prompts[2]) << "medium is the default";
  EXPECT_NE(prompts[1], prompts[2]);
  EXPECT_NE(prompts[3], prompts[2]);

  using Request = v1::CaptionRequest;
  ExpectRefusal<Request>(
      request, [](Request& r) { r.clear_image(); }, "image: is missing");
  ExpectRefusal<Request>(
      request, [](Request& r) { r.set_length(static_cast<v1::CaptionLength>(4)); },
      "length: 4 is not a CaptionLength");
}

TEST(ChatRequestTest, GenerateKeepsTheConversation) {
  const v1::GenerateRequest request = Chat();
  const auto chat = ReadChat(request);
  ASSERT_TRUE(chat.ok());
  std::vector<Role> roles;
  for (const text::Message& message : chat->messages) roles.push_back(message.role);
  EXPECT_THAT(roles, ElementsAre(Role::kSystem, Role::kUser, Role::kAssistant, Role::kUser));
  EXPECT_THAT(Fields(*chat),
              ElementsAre("messages[1].parts[1].image.data", "messages[1].parts[2].image.data"));
}

TEST(ChatRequestTest, GenerateNamesWhatIsWrong) {
  using Request = v1::GenerateRequest;
  const std::pair<std::function<void(Request&)>, std::string> cases[] = {
      {[](Request& r) { r.clear_messages(); }, "messages: at least one is needed"},
      {[](Request& r) { r.mutable_messages(1)->clear_role(); },
       "messages[1].role: must be ROLE_SYSTEM, ROLE_USER or ROLE_ASSISTANT"},
      {[](Request& r) { r.mutable_messages(2)->set_role(v1::ROLE_SYSTEM); },
       "messages[2].role: only the first message may be ROLE_SYSTEM"},
      {[](Request& r) { r.mutable_messages(3)->clear_parts(); }, "messages[3].parts: at least one is needed"},
      {[](Request& r) { r.mutable_messages(1)->mutable_parts(0)->clear_text(); },
       "messages[1].parts[0]: has neither text nor image"},
      {[](Request& r) { *r.mutable_messages(0)->add_parts() = r.messages(1).parts(1); },
       "messages[0].parts[1]: images belong in ROLE_USER messages"},
      {[](Request& r) { r.mutable_messages(1)->mutable_parts(2)->mutable_image()->clear_data(); },
       "messages[1].parts[2].image.data: is empty; send the bytes of a JPEG, PNG or WebP"},
      {[](Request& r) { r.mutable_messages()->RemoveLast(); },
       "messages[2].role: the last message must be ROLE_USER"},
  };
  for (const auto& [change, message] : cases) ExpectRefusal<Request>(Chat(), change, message);
}

TEST(ChatRequestTest, CompareTakesOnePromptAndItsSettings) {
  const v1::CompareRequest request = Comparison();
  const auto chat = ReadChat(request);
  ASSERT_TRUE(chat.ok());
  EXPECT_THAT(chat->settings,
              ElementsAre(FieldsAre(FieldsAre("settings[0]", &request.settings(0)), FieldsAre("", nullptr)),
                          FieldsAre(FieldsAre("settings[1]", &request.settings(1)), FieldsAre("", nullptr))));
  EXPECT_EQ(chat->options_field, "request.options");
  EXPECT_EQ(Fields(*chat)[0], "request.messages[1].parts[1].image.data");
  EXPECT_EQ(chat->options, &request.request().options());
}

TEST(ChatRequestTest, ErrorsOfThePromptHaveTheNamesOfTheRequest) {
  const v1::AnswerRequest question = Question();
  v1::CaptionRequest caption;
  caption.mutable_image()->set_data("picture");
  const v1::GenerateRequest chat = Chat();
  const v1::CompareRequest comparison = Comparison();
  const auto names = [](const auto& request) {
    const absl::StatusOr<ChatRequest> chat = ReadChat(request);
    std::vector<std::string> names;
    for (const char* error : {"messages: long", "messages[3].parts[1].text: long", "images: many"}) {
      const absl::Status status = InRequest(*chat, absl::InvalidArgumentError(error));
      EXPECT_TRUE(absl::IsInvalidArgument(status));
      names.emplace_back(status.message());
    }
    EXPECT_TRUE(InRequest(*chat, absl::OkStatus()).ok());
    EXPECT_EQ(InRequest(*chat, absl::InternalError("panic")), absl::InternalError("panic"));
    return names;
  };
  EXPECT_THAT(names(question), ElementsAre("question: long", "question: long", "images: many"));
  EXPECT_THAT(names(caption), ElementsAre("image: long", "image: long", "image: many"));
  EXPECT_THAT(names(chat),
              ElementsAre("messages: long", "messages[3].parts[1].text: long", "messages: many"));
  EXPECT_THAT(names(comparison),
              ElementsAre("request.messages: long", "request.messages[3].parts[1].text: long",
                          "request.messages: many"));
}

TEST(ChatRequestTest, CompareNamesWhatIsWrong) {
  using Request = v1::CompareRequest;
  const std::pair<std::function<void(Request&)>, std::string> cases[] = {
      {[](Request& r) { r.clear_request(); }, "request: is missing"},
      {[](Request& r) { r.mutable_request()->mutable_var(); },
       "request.var: must not be set; settings say how to run the prompt"},
      {[](Request& r) { r.mutable_request()->mutable_intervention()->mutable_pai(); },
       "request.intervention: must not be set; interventions say how to run the prompt"},
      {[](Request& r) { r.add_interventions()->mutable_pai(); },
       "interventions: must not be set together with settings; they can hold VAR as well"},
      {[](Request& r) {
         r.clear_settings();
         r.add_interventions();
       },
       "interventions[0]: has none of the methods that this server knows: var, pai, vaf, spin, vcd, icd, "
       "m3id"},
      {[](Request& r) {
         r.clear_settings();
         while (r.interventions_size() < 9) r.add_interventions()->mutable_pai();
       },
       "interventions: 9 of them, not 1 to 8"},
      {[](Request& r) { r.clear_settings(); }, "settings: 0 of them, not 1 to 8"},
      {[](Request& r) {
         while (r.settings_size() < 9) r.add_settings();
       },
       "settings: 9 of them, not 1 to 8"},
      {[](Request& r) { r.mutable_request()->clear_messages(); }, "request.messages: at least one is needed"},
  };
  for (const auto& [change, message] : cases) ExpectRefusal<Request>(Comparison(), change, message);
}

}  // namespace
}  // namespace varserve::chat
