#include "server/interventions/m3id/m3id.h"

#include "server/base/field_range.h"
#include "server/base/status_macros.h"

namespace varserve::interventions {

absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadM3id(const v1::M3idOptions& options) {
  auto setting = std::make_shared<ContrastSetting>();
  setting->method = kM3id;
  v1::M3idOptions& m3id = *setting->effective.mutable_m3id();
  m3id.set_forgetting_rate(options.has_forgetting_rate() ? options.forgetting_rate() : 0.02F);
  m3id.set_confidence(options.has_confidence() ? options.confidence() : 0.9F);
  m3id.set_beta(options.beta());
  RETURN_IF_ERROR(CheckRange("forgetting_rate", m3id.forgetting_rate(), 0, 1));
  RETURN_IF_ERROR(CheckRange("confidence", m3id.confidence(), 0, 1));
  RETURN_IF_ERROR(CheckRange("beta", m3id.beta(), 0, 1));
  setting->rule = {
      .forgetting_rate = m3id.forgetting_rate(), .confidence = m3id.confidence(), .beta = m3id.beta()};
  setting->sibling = NoPictures{};
  return setting;
}

}  // namespace varserve::interventions
