#include "server/interventions/icd/icd.h"

#include "server/base/field_range.h"
#include "server/base/status_macros.h"

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
  icd.set_alpha(options.has_alpha() ? options.alpha() : 1.0F);
  icd.set_beta(options.has_beta() ? options.beta() : 0.1F);
  icd.set_disturbance(options.has_disturbance() ? options.disturbance() : kDisturbance);
  RETURN_IF_ERROR(CheckRange("alpha", icd.alpha(), 0, 10));
  RETURN_IF_ERROR(CheckRange("beta", icd.beta(), 0, 1));
  RETURN_IF_ERROR(
      CheckRange("disturbance: its size", static_cast<double>(icd.disturbance().size()), 1, kMostBytes));
  setting->rule = {.weight = icd.alpha(), .beta = icd.beta()};
  setting->sibling = DisturbedInstruction{.disturbance = icd.disturbance()};
  return setting;
}

}  // namespace varserve::interventions
