#include "server/model/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_dir.h"

namespace varserve::model {
namespace {

using ::testing::HasSubstr;

std::string File(const std::string& header, size_t data_size) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + std::string(data_size, 'x');
}

absl::Status Parse(const std::string& file) {
  return ParseSafetensorsHeader(file, static_cast<int64_t>(file.size())).status();
}

TEST(SafetensorsTest, ReadsTensors) {
  const std::string file =
      File(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
           R"("b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}})",
           26);
  const auto header = ParseSafetensorsHeader(file, static_cast<int64_t>(file.size()));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->tensors.size(), 2);
  EXPECT_EQ(header->tensors.at("a").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(header->tensors.at("b").begin, 24);
  EXPECT_EQ(header->data_begin, static_cast<int64_t>(file.size()) - 26);
}

// Their tensors are named in messages, and may be there where none is needed.
TEST(SafetensorsTest, KnowsTheTypesOfQuantizedTensors) {
  for (const auto& [dtype, count, bytes] : {std::tuple("F8_E4M3", 3, 3), {"F4", 6, 3}, {"F6_E2M3", 4, 3}}) {
    const std::string file = File(absl::StrCat(R"({"a":{"dtype":")", dtype, R"(","shape":[)", count,
                                               R"(],"data_offsets":[0,)", bytes, "]}}"),
                                  bytes);
    EXPECT_TRUE(Parse(file).ok()) << Parse(file);
  }
  EXPECT_THAT(Parse(File(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1)).message(),
              HasSubstr("spans"));
}

TEST(SafetensorsTest, SaysWhatIsWrong) {
  const auto tensor = [](const std::string& entry, size_t data = 24) {
    return Parse(File(R"({"a":)" + entry + "}", data));
  };
  EXPECT_THAT(Parse("abc").message(), HasSubstr("shorter than"));
  EXPECT_THAT(Parse(std::string(8, '\xff')).message(), HasSubstr("impossible header length"));
  EXPECT_THAT(Parse(File("{", 0)).message(), HasSubstr("not a JSON object"));
  EXPECT_THAT(Parse(File("[]", 0)).message(), HasSubstr("not a JSON object"));
  EXPECT_THAT(Parse(std::string("\x40\0\0\0\0\0\0\0{}", 10)).message(),
              HasSubstr("truncated inside its header"));
  EXPECT_THAT(tensor("3").message(), HasSubstr("tensor a has no dtype"));
  EXPECT_THAT(tensor(R"({"dtype":"F31","shape":[6],"data_offsets":[0,24]})").message(),
              HasSubstr("unknown dtype F31"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[-6],"data_offsets":[0,24]})").message(), HasSubstr("shape"));
  EXPECT_THAT(
      tensor(R"({"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,24]})").message(),
      HasSubstr("impossible shape"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[6],"data_offsets":[24,0]})").message(), HasSubstr("spans"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[5],"data_offsets":[0,24]})").message(), HasSubstr("take 20"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[6],"data_offsets":[0,24]})", 20).message(),
              HasSubstr("truncated"));
}

TEST(SafetensorsTest, OpenNamesTheFile) {
  const testing::TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(SafetensorsFile::Open(dir.path() + "/none.safetensors").status()));
  const std::string path =
      dir.Write("cut.safetensors", File(R"({"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}})", 7));
  EXPECT_THAT(std::string(SafetensorsFile::Open(path).status().message()),
              ::testing::StartsWith("cut.safetensors: tensor a ends at byte 24"));
  EXPECT_THAT(SafetensorsFile::Open(dir.Write("empty.safetensors", "")).status().message(),
              HasSubstr("is empty"));
}

}  // namespace
}  // namespace varserve::model
