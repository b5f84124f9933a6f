// The flags of every command that generates text: how to generate, and how to treat attention.
// Thread-compatible; must stay where they are while the command line is parsed.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "absl/status/status.h"
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
  enum class Mode { kFlag, kOn };  // kOn: there is no --var, no --detail and no --map-layers

  VarFlags(CLI::App& app, Mode mode);
  const v1::VarOptions& options() const { return options_; }
  // Of flags with the mode: see CheckEffect. INVALID_ARGUMENT beginning with the flag.
  absl::Status Check(bool json) const;

 private:
  v1::VarOptions options_;
};

// --var and its fields, or --intervention for another method.
class InterventionFlags {
 public:
  InterventionFlags(CLI::App& app, VarFlags::Mode mode);

  // Checks and reads what the flags say. INVALID_ARGUMENT beginning with the flag.
  absl::Status Read(bool json);
  // After Read with kOn: the method that changes something, and a contrast.
  const v1::Intervention& intervention() const { return intervention_; }
  // After Read.
  template <typename Request>
  void SetIn(Request& request) const {
    if (other_.empty()) {
      *request.mutable_var() = var_.options();
    } else {
      *request.mutable_intervention() = intervention_;
    }
  }

 private:
  absl::Status ReadOther();

  VarFlags::Mode mode_;
  VarFlags var_;
  std::string other_;
  v1::Intervention intervention_;
};

// Refuses what would be ignored: fields set with mode off, layers of maps without maps, and maps without the
// JSON that shows them. Without a mode, the server decides: it knows its default. INVALID_ARGUMENT beginning
// with the field's name.
absl::Status CheckEffect(const v1::VarOptions& options, bool json);

// "on,rho=0.5,first_layer=4": a mode, and fields of VarOptions. INVALID_ARGUMENT beginning with the field's
// name.
absl::StatusOr<v1::VarOptions> ParseVarSetting(absl::string_view text);

// The same, or "pai,alpha=0.3": another method of Intervention, and fields of its options. A contrast may
// follow one that changes attention: "on,rho=0.5+vcd,alpha=1".
absl::StatusOr<v1::Intervention> ParseSetting(absl::string_view text);

// What takes the place of METHOD in ParseSetting: "pai, vaf, spin, vcd, icd, m3id"; and those of them that
// may follow after a plus.
std::string OtherMethods();
std::string ContrastMethods();

}  // namespace varserve::cli
