#include "server/interventions/icd/icd.h"

#include "server/base/field_range.h"
#include "server/base/status_macros.h"
#include "server/interventions/contrast/options.h"

namespace varserve::interventions {
namespace {

constexpr char kDisturbance[] =
    "You are a confused objects detector to provide a fuzzy overview or impression of the image.";
constexpr double kMostBytes = 1024;

}  // namespace

absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadIcd(const v1::IcdOptions& options) {
  auto setting = std::make_shared<ContrastSetting>();
  setting->method = kIcd;
  v1::IcdOptions& icd = *setting->effective.mutable_icd();
  RETURN_IF_ERROR(ReadAlphaAndBeta(options, icd, setting->rule));
  icd.set_disturbance(options.has_disturbance() ? options.disturbance() : kDisturbance);
  RETURN_IF_ERROR(
      CheckRange("disturbance: its size", static_cast<double>(icd.disturbance().size()), 1, kMostBytes));
  setting->sibling = DisturbedInstruction{.disturbance = icd.disturbance()};
  return setting;
}

}  // namespace varserve::interventions
