#include "server/model/families/family.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace varserve::model {
namespace {

constexpr const Family* kFamilies[] = {&kLlava,   &kLlavaNext, &kLlavaOnevision, &kQwen2Vl, &kQwen2_5Vl,
                                       &kQwen3Vl, &kInternVl,  &kIdefics3,       &kSmolVlm, &kVila};

}  // namespace

const Family* FindFamily(absl::string_view model_type) {
  for (const Family* family : kFamilies) {
    if (model_type == family->model_type) return family;
  }
  return nullptr;
}

std::string KnownFamilies() {
  return absl::StrJoin(kFamilies, ", ", [](std::string* out, const Family* family) {
    absl::StrAppend(out, family->name, " models, \"", family->model_type, "\"");
  });
}

}  // namespace varserve::model
