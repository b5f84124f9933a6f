// Where templates are found and how they fail; that they render right is text_golden_test's.
#include "server/text/chat_template.h"

#include <fstream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/files.h"
#include "tests/testing/temp_dir.h"

namespace varserve::text {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<Message> kHello = {{Role::kUser, {"Hello"}}};

absl::StatusOr<std::string> Render(const std::string& source, const std::vector<Message>& messages = kHello) {
  const absl::StatusOr<ChatTemplate> chat_template = ChatTemplate::Compile(source, {{"bos_token", "<s>"}});
  if (!chat_template.ok()) return chat_template.status();
  EXPECT_EQ(chat_template->source(), source);
  return chat_template->Render(messages);
}

TEST(ChatTemplateTest, KnowsRolesPartsAndTokens) {
  const std::vector<Message> messages = {
      {Role::kSystem, {"S"}}, {Role::kUser, {ImagePart(), "U"}}, {Role::kAssistant, {"A"}}};
  const auto text = Render(
      "{{ bos_token }}{% for m in messages %}{{ m.role }}:{% for p in m.content %}{{ p.type }}={{ p.text "
      "}},{% endfor "
      "%};{% endfor %}{{ add_generation_prompt }}",
      messages);
  EXPECT_EQ(*text, "<s>system:text=S,;user:image=,text=U,;assistant:text=A,;True");
}

TEST(ChatTemplateTest, TellsWhatIsWrong) {
  EXPECT_EQ(Render("{% for %}").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Render("{{ raise_exception('roles must alternate') }}").status(),
            absl::InvalidArgumentError("messages: the chat template says: roles must alternate"));
  EXPECT_EQ(Render("{{ nothing.at.all }}").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Render("{{ messages | no_such_filter }}").status().code(), absl::StatusCode::kInvalidArgument);
}

// What transformers makes of these templates is in text_golden_test.
TEST(ChatTemplateTest, TextIsAStringOnlyWhereTheTemplateNeedsIt) {
  const std::vector<Message> messages = {{Role::kSystem, {"be ", "brief"}},
                                         {Role::kUser, {"hi"}},
                                         {Role::kAssistant, {"A"}},
                                         {Role::kUser, {ImagePart(), "U"}}};
  // Lists wherever they work, also where strings would.
  EXPECT_EQ(
      *Render("{% for m in messages %}{{ m.content is string }}{% if m.content is string %}{{ m.content }}"
              "{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %} {% endfor %}",
              messages),
      "Falsebe brief Falsehi FalseA FalseU ");
  // The parts of a string are joined; a message with an image keeps its list.
  EXPECT_EQ(*Render("{% for m in messages %}{% if m.content is string %}{{ m.content + ';' }}{% else %}"
                    "{{ m.content | length }}{% endif %}{% endfor %}",
                    messages),
            "be brief;hi;A;2");
  // By role.
  EXPECT_EQ(*Render("{% for m in messages %}{% if m.role == 'user' %}{{ (m.content | last).text }}{% else %}"
                    "{{ m.content ~ '/' }}{% endif %}{% endfor %}",
                    messages),
            "be brief/hiA/U");
  // A template that refuses a role is not asked how it takes it.
  EXPECT_EQ(
      Render("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
             "{{ m.content }}{% endfor %}",
             messages)
          .status(),
      absl::InvalidArgumentError("messages: the chat template says: no system"));
  EXPECT_EQ(*Render("{% for m in messages %}{{ m.content }}{% endfor %}", {{Role::kUser, {"hi"}}}), "hi");
}

TEST(ChatTemplateTest, ATemplateWithoutEndIsStopped) {
  const std::string loops =
      "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{{ a * b "
      "}}{% endfor %}{% endfor %}{% endfor %}";
  EXPECT_EQ(Render(loops).status(),
            absl::InvalidArgumentError(
                "messages: the chat template takes too many steps for this conversation; make "
                "it shorter"));
  const std::string recursion = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
  EXPECT_EQ(Render(recursion).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChatTemplateTest, TextIsNotTakenForATemplate) {
  EXPECT_EQ(
      *Render("{{ messages[0].content[0].text }}", {{Role::kUser, {"{{ bos_token }}{% raw %}\\ \" \0 é"}}}),
      "{{ bos_token }}{% raw %}\\ \" \0 é");
}

TEST(ChatTemplateTest, InvalidUtf8DoesNotCrash) {
  EXPECT_EQ(*Render("{{ messages[0].content[0].text }}", {{Role::kUser, {"a\xFF"}}}), "a\xEF\xBF\xBD");
}

TEST(ChatTemplateTest, KnowsTheDate) {
  const std::string year = *Render("{{ strftime_now('%Y') }}");
  EXPECT_THAT(year, ::testing::MatchesRegex("20[0-9][0-9]"));
}

TEST(ChatTemplateTest, IsFoundWhereTransformersLooks) {
  const varserve::testing::TempDir temp;
  const std::filesystem::path dir = temp.path();
  const absl::Status none = ChatTemplate::Load(dir, {}).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.message()),
              HasSubstr("looked for it in processor_config.json, chat_template.json, "
                        "chat_template.jinja, tokenizer_config.json"));
  // Each file added takes precedence over those before.
  std::ofstream(dir / "tokenizer_config.json")
      << Json{{"chat_template",
               {{{"name", "tool_use"}, {"template", "no"}}, {{"name", "default"}, {"template", "1"}}}}};
  EXPECT_EQ(ChatTemplate::Load(dir, {})->source(), "1");
  std::ofstream(dir / "chat_template.jinja") << "2";
  EXPECT_EQ(ChatTemplate::Load(dir, {})->source(), "2");
  std::ofstream(dir / "chat_template.json") << Json{{"chat_template", "3"}};
  EXPECT_EQ(ChatTemplate::Load(dir, {})->source(), "3");
  std::ofstream(dir / "processor_config.json") << Json{{"chat_template", nullptr}};
  EXPECT_EQ(ChatTemplate::Load(dir, {})->source(), "3");
  std::ofstream(dir / "processor_config.json") << Json{{"chat_template", "{% broken"}};
  EXPECT_THAT(std::string(ChatTemplate::Load(dir, {}).status().message()),
              StartsWith("processor_config.json: "));
  std::ofstream(dir / "processor_config.json") << "broken";
  EXPECT_THAT(std::string(ChatTemplate::Load(dir, {}).status().message()),
              StartsWith("processor_config.json: not a JSON object"));
}

TEST(ChatTemplateTest, AMalformedFileIsNamed) {
  const varserve::testing::TempDir temp;
  const std::filesystem::path dir = temp.path();
  const auto error = [&](const std::string& file, const std::string& text) {
    std::ofstream(dir / file) << text;
    const absl::Status status = ChatTemplate::Load(dir, {}).status();
    std::filesystem::remove(dir / file);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << text << status;
    EXPECT_THAT(std::string(status.message()), StartsWith(file + ": "));
    return std::string(status.message());
  };
  for (const char* file : {"processor_config.json", "chat_template.json", "tokenizer_config.json"}) {
    for (const char* value :
         {"1", "true", "[1]", "[\"default\"]", "[null]", "[[]]", "{}", "{\"default\": 1}",
          "{\"other\": \"\"}", "[{\"name\": 1, \"template\": \"\"}]", "[{\"name\": \"default\"}]",
          "[{\"name\": \"default\", \"template\": 2}]", "[{\"template\": \"\"}]", "[]",
          "[{\"name\": \"tool_use\", \"template\": \"x\"}]"}) {
      EXPECT_THAT(error(file, absl::StrCat("{\"chat_template\": ", value, "}")), HasSubstr("chat_template: "))
          << value;
    }
    error(file, "{\"chat_template\": \"\xFF\"}");
    error(file, "{\"chat_template\": \"{% if %}\"}");
    error(file, "[]");
  }
  EXPECT_THAT(error("chat_template.jinja", "{{ messages }}\xFF"), HasSubstr("not valid UTF-8"));
  std::ofstream(dir / "processor_config.json") << Json{{"chat_template", {{"rag", "no"}, {"default", "1"}}}};
  EXPECT_EQ(ChatTemplate::Load(dir, {})->source(), "1");
}

}  // namespace
}  // namespace varserve::text
