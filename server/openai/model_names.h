// The names under which one model is offered. A name can choose an intervention, since some clients can only
// choose a name: NAME (the server's default), NAME+var, NAME+var-PRESET, NAME+observe, and NAME+METHOD for
// each other method that the server has. The name of a contrast may follow that of a method that changes
// attention: NAME+var+vcd. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::openai {

// Why a model cannot be called this; empty if it can. Names are in URLs, labels of metrics and lines of the
// log.
std::string NameProblem(absl::string_view name);

// All names; those of VAR only if the model has a VAR profile.
std::vector<std::string> NamesOf(const v1::Model& model);

// The intervention that a name chooses; none for NAME. NOT_FOUND if it is not a name of the model.
absl::StatusOr<v1::Intervention> InterventionOf(absl::string_view name, const v1::Model& model);

}  // namespace varserve::openai
