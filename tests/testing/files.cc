#include "tests/testing/files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace varserve {

// The path is known to this file alone, so that all other objects are the same in every clone.
std::filesystem::path RepositoryPath(std::string_view name) {
  const char* carried = std::getenv("VARSERVE_SOURCE_DIR");
  return std::filesystem::path(carried != nullptr ? carried : VARSERVE_SOURCE_DIR) / name;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

nlohmann::json ReadJson(const std::filesystem::path& path) { return nlohmann::json::parse(ReadFile(path)); }

}  // namespace varserve
