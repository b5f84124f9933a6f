// Reads files, those of the repository by their name in it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace varserve {

// `name` counts from the repository's root, or from the folder VARSERVE_SOURCE_DIR where the environment sets
// it: tests that were carried to another machine find their files there.
std::filesystem::path RepositoryPath(std::string_view name);

// Fails the test where there is no such file.
std::string ReadFile(const std::filesystem::path& path);
nlohmann::json ReadJson(const std::filesystem::path& path);

}  // namespace varserve
