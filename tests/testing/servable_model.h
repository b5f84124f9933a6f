// A tiny model (tiny_model.h) with all else a server wants in a model directory: a tokenizer of single bytes,
// a chat template and an image processor. What it says is noise, but always the same.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/testing/tiny_model.h"

namespace varserve::testing {

class ServableModel {
 public:
  explicit ServableModel(const std::string& name = "dinov2_gqa");

  const std::string& dir() const { return tiny_.dir(); }
  const TinyModel& tiny() const { return tiny_; }

  // Replaces or removes a file of the directory.
  void Write(const std::string& file, const std::string& content) const;
  void Remove(const std::string& file) const;
  nlohmann::json ReadJson(const std::string& file) const;

 private:
  const TinyModel tiny_;
};

}  // namespace varserve::testing
