#include "server/interventions/vcd/vcd.h"

#include "server/base/field_range.h"
#include "server/base/status_macros.h"
#include "server/interventions/contrast/options.h"
#include "server/interventions/vcd/diffusion_noise.h"

namespace varserve::interventions {

absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadVcd(const v1::VcdOptions& options) {
  auto setting = std::make_shared<ContrastSetting>();
  setting->method = kVcd;
  v1::VcdOptions& vcd = *setting->effective.mutable_vcd();
  RETURN_IF_ERROR(ReadAlphaAndBeta(options, vcd, setting->rule));
  vcd.set_noise_step(options.has_noise_step() ? options.noise_step() : kDiffusionSteps / 2);
  vcd.set_noise_seed(options.noise_seed());
  RETURN_IF_ERROR(CheckRange("noise_step", vcd.noise_step(), 0, kDiffusionSteps - 1));
  setting->sibling = NoisyPictures{.step = static_cast<int>(vcd.noise_step()), .seed = vcd.noise_seed()};
  return setting;
}

}  // namespace varserve::interventions
