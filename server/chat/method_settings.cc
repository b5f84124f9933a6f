#include "server/chat/method_settings.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"
#include "server/interventions/table/contrast_table.h"

namespace varserve::chat {
namespace {

absl::StatusOr<std::shared_ptr<const interventions::Setting>> ReadAttention(
    const ChatRequest::Method& method, const interventions::Defaults& defaults) {
  if (method.options == nullptr) return interventions::OffSetting(defaults);
  auto setting = interventions::ReadOptions(*method.options, defaults);
  if (!setting.ok()) return Prefixed(absl::StrCat(method.field, "."), setting.status());
  return setting;
}

}  // namespace

absl::StatusOr<MethodSettings> ReadMethods(const ChatRequest::Setting& setting,
                                           const interventions::Defaults& defaults) {
  const auto& [attention, contrast] = setting;
  MethodSettings methods;
  ASSIGN_OR_RETURN(methods.attention, ReadAttention(attention, defaults));
  if (attention.options != nullptr) methods.contrast = interventions::ContrastWithin(*attention.options);
  if (methods.contrast != nullptr) methods.contrast_field = attention.field;
  if (contrast.options == nullptr) return methods;
  if (methods.contrast != nullptr) {
    return Invalid(absl::StrCat(attention.field, ".gamma"),
                   absl::StrCat("is a contrast, which cannot be combined with another one, ", contrast.field,
                                "; leave one of them out"));
  }
  auto read = interventions::ReadContrast(*contrast.options);
  if (!read.ok()) return Prefixed(absl::StrCat(contrast.field, "."), read.status());
  methods.contrast = *std::move(read);
  methods.contrast_field = contrast.field;
  return methods;
}

}  // namespace varserve::chat
