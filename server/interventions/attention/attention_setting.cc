#include "server/interventions/attention/attention_setting.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/interventions/attention/options.h"
#include "server/interventions/attention/report.h"
#include "server/interventions/setting/report_parts.h"

namespace varserve::interventions {
namespace {

// The report and its messages for layers and tokens use the same names.
template <typename Message>
void SetShares(const AttentionShares& shares, Message& message) {
  message.set_changed_head_ratio(shares.changed_heads);
  message.set_visual_attention_before(shares.visual_before);
  message.set_visual_attention_after(shares.visual_after);
}

class AttentionSetting final : public Setting {
 public:
  AttentionSetting(const RowSetting& setting, v1::VarDetail detail, v1::Intervention effective)
      : Setting(MakeRowIntervention(setting), MapLayers(detail, setting.row)),
        detail_(detail),
        effective_(std::move(effective)) {}

  void Describe(v1::Model& model) const override { *model.add_interventions() = effective_; }
  void Describe(v1::Started& started) const override {
    started.mutable_var()->set_mode(v1::VAR_MODE_OFF);
    *started.mutable_intervention() = effective_;
  }
  void Convert(const Report& any_report, const ReportContext& context,
               v1::Finished& finished) const override {
    const auto& report = static_cast<const AttentionReport&>(any_report);
    v1::InterventionReport& proto = *finished.mutable_intervention_report();
    *proto.mutable_effective() = effective_;
    proto.set_rows(report.rows.size());
    SetShares(report.totals, proto);
    size_t bytes = context.max_bytes;
    if (detail_ >= v1::VAR_DETAIL_LAYERS) {
      for (const AttentionReport::Layer& layer : report.layers) {
        v1::LayerAttention& message = *proto.add_layers();
        message.set_layer(static_cast<uint32_t>(layer.layer));
        SetShares(layer.shares, message);
        bytes -= std::min(bytes, message.ByteSizeLong() + kFrameBytes);
      }
    }
    if (detail_ >= v1::VAR_DETAIL_TOKENS) {
      AddTokens(report.rows, context, bytes, proto,
                [](const AttentionShares& shares, v1::TokenAttention& token) { SetShares(shares, token); });
    }
    if (detail_ >= v1::VAR_DETAIL_MAPS) AddMaps(report.maps, context, proto);
  }
  telemetry::LogFields LogFieldsOf(const Report& any_report) const override {
    const auto& report = static_cast<const AttentionReport&>(any_report);
    return {{"intervention", std::string(report.method)},
            {"changed_head_ratio", static_cast<double>(report.totals.changed_heads)},
            {"visual_attention_before", static_cast<double>(report.totals.visual_before)},
            {"visual_attention_after", static_cast<double>(report.totals.visual_after)}};
  }

 private:
  const v1::VarDetail detail_;
  const v1::Intervention effective_;
};

}  // namespace

std::shared_ptr<const Setting> MakeAttentionSetting(const RowSetting& setting, v1::VarDetail detail,
                                                    v1::Intervention effective) {
  return std::make_shared<const AttentionSetting>(setting, detail, std::move(effective));
}

}  // namespace varserve::interventions
