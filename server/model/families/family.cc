#include "server/model/families/family.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace varserve::model {
namespace {

constexpr const Family* kFamilies[] = {&kLlava,   &kLlavaNext, &kLlavaOnevision, &kQwen2Vl, &kQwen2_5Vl,
                                       &kQwen3Vl, &kInternVl,  &kIdefics3,       &kSmolVlm, &kVila};

constexpr char kCrossAttention[] =
    ", which reads the picture by cross-attention: no row of attention has text sinks and visual tokens, "
    "so VAR is not defined there (docs/var.md)";
constexpr char kResampler[] =
    ", whose visual tokens come from a resampler: each looks at the whole picture, so VAR's visual tokens "
    "and maps are not defined there (docs/var.md)";
constexpr char kBothWays[] =
    ", whose visual tokens also attend to later ones: VAR is defined on causal rows, each of which sees "
    "what is before it (docs/var.md)";

// Known model types that have no family.
struct Foreign {
  absl::string_view model_type;
  absl::string_view why;
};
constexpr Foreign kForeign[] = {
    {"internvl_chat", "; ./dev convert (tools/convert) makes an InternVL model of it"},
    {"llava_llama", "; ./dev convert (tools/convert) makes a model of VILA 1.0 and 1.5"},
    {"mllama", kCrossAttention},
    {"idefics", kCrossAttention},
    {"idefics2", kResampler},
    {"blip-2", kResampler},
    {"instructblip", kResampler},
    {"instructblipvideo", kResampler},
    {"kosmos-2", kResampler},
    {"minicpmv", kResampler},
    {"gemma3", kBothWays},
    {"paligemma", kBothWays},
};

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

std::string WhyNoFamily(absl::string_view model_type) {
  for (const Foreign& foreign : kForeign) {
    if (model_type == foreign.model_type) return std::string(foreign.why);
  }
  return absl::EndsWith(model_type, "_moe") ? ", a mixture of experts, which is not supported" : "";
}

}  // namespace varserve::model
