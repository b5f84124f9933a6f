// The variants of tests/models: tiny model directories, each changed in one way, and what transformers does
// with them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/testing/temp_dir.h"

namespace varserve::testing {

// All of tests/models/variants.json.
const nlohmann::json& ModelVariants();

// A variant's directory, written as tests/models/directories.py writes it.
class VariantDirectory {
 public:
  // `variant`: one of ModelVariants()["variants"].
  explicit VariantDirectory(const nlohmann::json& variant);

  const std::string& path() const { return path_; }

 private:
  void WriteWeights(const nlohmann::json& spec, const nlohmann::json& change);
  void WriteFiles(const nlohmann::json& spec, const nlohmann::json& changes);
  void Write(const std::string& file, const std::string& content) const;
  // Moves every file to where the hub's cache has it, and leaves a link.
  void MoveToCache() const;

  const TempDir root_;
  const std::string path_;
  nlohmann::json index_;  // of the shards; null if there are none
};

}  // namespace varserve::testing
