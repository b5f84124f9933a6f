#include "server/interventions/contrast/contrast_setting.h"

namespace varserve::interventions {

v1::ContrastReport ContrastSetting::ToProto(const ContrastReport& report) const {
  v1::ContrastReport proto;
  proto.set_sibling_prompt_tokens(static_cast<uint32_t>(report.sibling_prompt_tokens));
  proto.set_sibling_cached_tokens(static_cast<uint32_t>(report.sibling_cached_tokens));
  proto.set_tokens(static_cast<uint32_t>(report.tokens));
  proto.set_contrasted_tokens(static_cast<uint32_t>(report.contrasted_tokens));
  proto.set_changed_tokens(static_cast<uint32_t>(report.changed_tokens));
  if (report.tokens > 0) {
    proto.set_plausible_tokens(static_cast<float>(report.plausible_tokens) /
                               static_cast<float>(report.tokens));
  }
  return proto;
}

telemetry::LogFields ContrastSetting::LogFieldsOf(const ContrastReport& report) const {
  return {{"contrast", std::string(method)},
          {"sibling_prompt_tokens", report.sibling_prompt_tokens},
          {"sibling_cached_tokens", report.sibling_cached_tokens},
          {"changed_tokens", report.changed_tokens}};
}

}  // namespace varserve::interventions
