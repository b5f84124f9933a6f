// The arguments IMAGE... QUESTION that several commands take. Thread-compatible; must stay where it is while
// the command line is parsed.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::cli {

class PictureQuestion {
 public:
  explicit PictureQuestion(CLI::App& app);

  // Reads the pictures.
  absl::Status Read();

  // After Read.
  const std::vector<std::string>& images() const { return images_; }    // encoded
  const std::vector<std::string>& files() const { return arguments_; }  // their names
  const std::string& question() const { return question_; }
  v1::Message message() const;  // of the user: the pictures, then the question

 private:
  std::vector<std::string> arguments_;
  std::vector<std::string> images_;
  std::string question_;
};

}  // namespace varserve::cli
