#include "server/interventions/pai/pai.h"

#include <algorithm>
#include <utility>

#include "server/interventions/attention/attention_setting.h"

namespace varserve::interventions {
namespace {

constexpr float kBeta = 0.1F;  // of the authors' code (CFG.py), where it is fixed

float GammaOf(const v1::PaiOptions& options) { return options.has_gamma() ? options.gamma() : 1.0F; }

}  // namespace

absl::StatusOr<std::shared_ptr<const Setting>> ReadPai(const v1::PaiOptions& options,
                                                       const AttentionDefaults& defaults) {
  const float alpha = options.has_alpha() ? options.alpha() : 0.2F;
  RETURN_IF_ERROR(CheckRange("alpha", alpha, 0, 10));
  RETURN_IF_ERROR(CheckRange("gamma", GammaOf(options), 1, 10));
  RowSetting setting{.method = kPai, .rows = ChangedRows::kAnswer, .row = {}};
  setting.row.change = RowChange::kReweigh;
  setting.row.visual_boost = alpha;
  setting.row.first_layer = std::min(2, defaults.num_layers - 1);
  setting.row.last_layer = defaults.num_layers - 1;
  RETURN_IF_ERROR(ReadLayers(options, defaults.num_layers, setting.row.first_layer, setting.row.last_layer));

  v1::Intervention effective;
  v1::PaiOptions& pai = *effective.mutable_pai();
  pai.set_alpha(alpha);
  SetLayers(setting.row, pai);
  ASSIGN_OR_RETURN(const v1::VarDetail detail, ReadDetail(options.detail()));
  pai.set_detail(detail);
  pai.set_gamma(GammaOf(options));
  return MakeAttentionSetting(setting, detail, std::move(effective));
}

std::shared_ptr<const ContrastSetting> PaiContrast(const v1::PaiOptions& options) {
  if (GammaOf(options) == 1.0F) return nullptr;
  auto setting = std::make_shared<ContrastSetting>();
  setting->method = kPai;
  setting->rule = {.weight = GammaOf(options) - 1.0F, .beta = kBeta};
  setting->sibling = NoPictures{};
  return setting;
}

}  // namespace varserve::interventions
