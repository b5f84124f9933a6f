#include "server/interventions/spin/spin.h"

#include <utility>

#include "server/interventions/attention/attention_setting.h"

namespace varserve::interventions {

absl::StatusOr<std::shared_ptr<const Setting>> ReadSpin(const v1::SpinOptions& options,
                                                        const AttentionDefaults& defaults) {
  const float kept_head_ratio = options.has_kept_head_ratio() ? options.kept_head_ratio() : 0.95F;
  const float suppressed_gain = options.has_suppressed_gain() ? options.suppressed_gain() : 0.08F;
  RETURN_IF_ERROR(CheckRange("kept_head_ratio", kept_head_ratio, 0, 1));
  RETURN_IF_ERROR(CheckRange("suppressed_gain", suppressed_gain, 0, 1));
  RowSetting setting{.method = kSpin, .rows = ChangedRows::kAnswer, .row = {}};
  setting.row.change = RowChange::kSuppressHeads;
  // The product of floats: 0.95 of 20 heads are 19, as for the authors, who compute in double.
  setting.row.kept_heads = static_cast<int32_t>(kept_head_ratio * static_cast<float>(defaults.num_heads));
  setting.row.suppressed_gain = suppressed_gain;
  setting.row.first_layer = 0;
  setting.row.last_layer = defaults.num_layers - 1;
  RETURN_IF_ERROR(ReadLayers(options, defaults.num_layers, setting.row.first_layer, setting.row.last_layer));

  v1::Intervention effective;
  v1::SpinOptions& spin = *effective.mutable_spin();
  spin.set_kept_head_ratio(kept_head_ratio);
  spin.set_suppressed_gain(suppressed_gain);
  SetLayers(setting.row, spin);
  ASSIGN_OR_RETURN(const v1::VarDetail detail, ReadDetail(options.detail()));
  spin.set_detail(detail);
  if (detail == v1::VAR_DETAIL_MAPS) {
    return absl::InvalidArgumentError(
        "detail: SPIN scales heads and leaves their attention as it is, so there is no map of a change; use "
        "TOKENS");
  }
  return MakeAttentionSetting(setting, detail, std::move(effective));
}

}  // namespace varserve::interventions
