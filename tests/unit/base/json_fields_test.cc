#include "server/base/json_fields.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace varserve {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(JsonFieldsTest, ReadsWhatIsThereAndTakesTheDefaultForTheRest) {
  const json object = json::parse(
      R"({"i": 3, "n": 2, "b": true, "s": "x", "list": [1, -2], "o": {"deep": 7}, "null": null})");
  JsonFields fields(object, "f.json", JsonFields::Null::kAbsent);
  EXPECT_EQ(fields.Int("i", 0, 0, 9), 3);
  EXPECT_EQ(fields.Int("none", 5, 0, 9), 5);
  EXPECT_EQ(fields.Int("null", 5, 0, 9), 5);
  EXPECT_EQ(fields.Number("n", 0.0, 0.0, 9.0), 2.0);
  EXPECT_TRUE(fields.Bool("b", false));
  EXPECT_EQ(fields.String("s", ""), "x");
  EXPECT_EQ(fields.Choice("s", "y", {"x", "y"}), "x");
  EXPECT_THAT(fields.Ints("list", {}), ElementsAre(1, -2));
  EXPECT_THAT(fields.Ints("i", {}), ElementsAre(3));
  EXPECT_EQ(fields.Object("o").Int("deep", 0, 0, 9), 7);
  EXPECT_EQ(fields.Object("none").Int("deep", 4, 0, 9), 4);
  fields.Neutral("i", 3);
  fields.Neutral("none", nullptr);
  EXPECT_TRUE(fields.status().ok()) << fields.status();
}

// The message of the first thing that is wrong.
template <typename Read>
std::string Problem(const char* text, Read read) {
  const json object = json::parse(text);
  JsonFields fields(object, "f.json");
  read(fields);
  EXPECT_TRUE(absl::IsFailedPrecondition(fields.status()));
  return std::string(fields.status().message());
}

TEST(JsonFieldsTest, NamesFileFieldAndValue) {
  const auto read_int = [](JsonFields& fields) { fields.Int("k", 0, 0, 9); };
  EXPECT_EQ(Problem(R"({"k": 10})", read_int), "f.json: k is 10, not in [0, 9]");
  EXPECT_EQ(Problem(R"({"k": null})", read_int), "f.json: k is null; give it a value or remove it");
  EXPECT_EQ(Problem(R"({"k": 2.0})", read_int), "f.json: k is 2.0, not an integer");
  EXPECT_EQ(Problem(R"({"k": true})", read_int), "f.json: k is true, not an integer");
  // Would be -1 as a signed number.
  EXPECT_THAT(Problem(R"({"k": 18446744073709551615})", read_int),
              StartsWith("f.json: k is 184467440737095"));
  EXPECT_THAT(Problem(R"({"k": [18446744073709551615]})", [](JsonFields& f) { f.Ints("k", {}); }),
              HasSubstr("not an integer or a list"));
  EXPECT_THAT(Problem(R"({"k": "x"})",
                      [](JsonFields& f) {
                        f.Choice("k", "y", {"y", "z"});
                      }),
              HasSubstr("k is \"x\", which is not supported; supported: y, z"));
  EXPECT_THAT(Problem(R"({"k": 2})", [](JsonFields& f) { f.Neutral("k", 1.0); }), HasSubstr("only 1.0 is"));
  EXPECT_THAT(Problem(R"({"k": "x"})", [](JsonFields& f) { f.Number("k", 0, 0, 1); }),
              HasSubstr("not a number"));
  EXPECT_THAT(Problem(R"({"k": 1})", [](JsonFields& f) { f.Bool("k", true); }),
              HasSubstr("not true or false"));
  EXPECT_THAT(Problem(R"({"k": 1})", [](JsonFields& f) { f.String("k", ""); }), HasSubstr("not a string"));
  EXPECT_THAT(Problem(R"({"k": 1})", [](JsonFields& f) { f.Object("k"); }), HasSubstr("not an object"));
}

TEST(JsonFieldsTest, ObjectsOfAFileRememberTheFirstProblemOfAll) {
  const std::string problem = Problem(R"({"a": {"b": {"c": -1}}, "d": -1})", [](JsonFields& fields) {
    JsonFields a = fields.Object("a");
    a.Object("b").Int("c", 0, 0, 9);
    fields.Int("d", 0, 0, 9);
    EXPECT_FALSE(a.status().ok());
  });
  EXPECT_EQ(problem, "f.json: a.b.c is -1, not in [0, 9]");
}

TEST(JsonFieldsTest, LongValuesAreCut) {
  EXPECT_EQ(ShortText(std::string(1000, 'x')), absl::StrCat("\"", std::string(59, 'x'), "..."));
}

}  // namespace
}  // namespace varserve
