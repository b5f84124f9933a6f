#include "server/interventions/var/var_setting.h"

#include <string>
#include <utility>

#include "server/base/status_macros.h"
#include "server/interventions/var/report.h"
#include "server/interventions/var/report_proto.h"
#include "server/interventions/var/var_intervention.h"

namespace varserve::interventions {
namespace {

class VarSetting final : public Setting {
 public:
  explicit VarSetting(VarRequest request)
      : Setting(MakeVarIntervention(request.settings, request.preset), std::move(request.map_layers)),
        effective_(std::move(request.effective)) {}

  void Describe(v1::Model& model) const override {
    *model.mutable_default_var() = effective_;
    if (model.has_var_profile()) *model.add_interventions()->mutable_var() = effective_;
  }
  void Describe(v1::Started& started) const override {
    *started.mutable_var() = effective_;
    *started.mutable_intervention()->mutable_var() = effective_;
  }
  void Convert(const Report& report, const ReportContext& context, v1::Finished& finished) const override {
    *finished.mutable_var_report() = ToProto(static_cast<const VarReport&>(report), effective_, context);
  }
  telemetry::LogFields LogFieldsOf(const Report& report) const override {
    const auto& r = static_cast<const VarReport&>(report);
    return {{"preset", std::string(r.preset)},
            {"visual_sink_tokens", r.visual_sink_tokens},
            {"text_sink_tokens", r.text_sink_tokens},
            {"image_centric_head_ratio", static_cast<double>(r.totals.changed_heads)},
            {"redistributed_attention", static_cast<double>(r.totals.redistributed)}};
  }

 private:
  const v1::VarOptions effective_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Setting>> ReadVarSetting(const v1::VarOptions& options,
                                                              const VarDefaults& defaults) {
  ASSIGN_OR_RETURN(VarRequest request, ReadVarOptions(options, defaults));
  return std::make_shared<const VarSetting>(std::move(request));
}

}  // namespace varserve::interventions
