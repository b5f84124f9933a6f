// The flags of every command that generates text: how to generate, and how to treat attention.
// Thread-compatible; must stay where they are while the command line is parsed.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::cli {

class GenerateFlags {
 public:
  explicit GenerateFlags(CLI::App& app);
  const v1::GenerateOptions& options() const { return options_; }

 private:
  v1::GenerateOptions options_;
};

class VarFlags {
 public:
  enum class Mode { kFlag, kFixed };  // whether --var is a flag, or the command sets the mode itself

  VarFlags(CLI::App& app, Mode mode);
  const v1::VarOptions& options() const { return options_; }
  // INVALID_ARGUMENT naming a flag that would have no effect. `json` is whether --json is given.
  absl::Status Check(bool json) const;

 private:
  const Mode mode_;
  v1::VarOptions options_;
};

// "on,rho=0.5,first_layer=4": a mode, and fields of VarOptions. INVALID_ARGUMENT beginning with the flag
// --setting, also for a field that would have no effect. What the reply carries is printed in full if `json`,
// and all but maps if `verbose`.
absl::StatusOr<v1::VarOptions> ParseVarSetting(absl::string_view text, bool json, bool verbose);

}  // namespace varserve::cli
