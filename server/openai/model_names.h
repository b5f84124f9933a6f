// The names under which one model is offered. A name can choose VAR, since some clients can only choose a
// name: NAME (the server's default), NAME+var, NAME+var-PRESET and NAME+observe. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::openai {

// All names; only the first if the model has no VAR profile.
std::vector<std::string> NamesOf(const v1::Model& model);

// The setting that a name chooses. NOT_FOUND if it is not a name of the model.
absl::StatusOr<v1::VarOptions> SettingOf(absl::string_view name, const v1::Model& model);

}  // namespace varserve::openai
