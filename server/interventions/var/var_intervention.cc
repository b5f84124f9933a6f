#include "server/interventions/var/var_intervention.h"

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/interventions/attention_row.h"
#include "server/interventions/var/report.h"
#include "server/interventions/var/tokens.h"

namespace varserve::interventions {
namespace {

// All fields of the setting; floats by their bits.
std::string KeyOf(const VarSettings& var) {
  const auto bits = [](float value) { return std::bit_cast<uint32_t>(value); };
  return absl::StrCat("var ", static_cast<int>(var.mode), " ", static_cast<int>(var.variant), " ",
                      bits(var.tau), " ", bits(var.rho), " ", bits(var.p), " ",
                      bits(var.min_visual_attention), " ", var.first_layer, " ", var.last_layer, ";");
}

class VarIntervention final : public Intervention {
 public:
  VarIntervention(const VarSettings& var, absl::string_view preset)
      : Intervention(var.mode, KeyOf(var)), var_(var), preset_(preset), sinks_(var) {}

  absl::Status Check(int num_layers, int token_measures) const override {
    if (var_.first_layer < 0 || var_.first_layer > var_.last_layer || var_.last_layer >= num_layers) {
      return absl::InvalidArgumentError(absl::StrCat("var.last_layer: layers ", var_.first_layer, " to ",
                                                     var_.last_layer, " are not within the model's 0 to ",
                                                     num_layers - 1));
    }
    if (token_measures < kNumPhiPlanes) {
      return absl::FailedPreconditionError("var.mode: the model has no VAR profile; use OFF");
    }
    return absl::OkStatus();
  }

  bool ActsOn(const Prompt& prompt, int position) const override { return IsEligible(prompt, position); }

  void SetRow(const RowPlace& place, AttentionRow& row) const override {
    if (!IsEligible(place.prompt, place.position)) return;
    row.authors_code = var_.variant == VarVariant::kAuthorsCode;
    row.first_layer = var_.first_layer;
    row.last_layer = var_.last_layer;
    row.sink_slots = sinks_.only_in_prompt ? place.prompt_slots : std::numeric_limits<int32_t>::max();
    row.tau = sinks_.least_phi;
    row.rho = var_.rho;
    row.p = var_.mode == Mode::kOn ? var_.p : 0.0F;
    row.min_visual_attention = var_.min_visual_attention;
  }

  // A generated token that cannot be a sink may be one in a later prompt; then K, V and evidence after it
  // differ.
  bool MayShare(const Prompt& prompt, int end) const override {
    return end <= prompt.size() || !sinks_.only_in_prompt;
  }

  std::unique_ptr<const Report> MakeReport(SequenceEvidence evidence) const override {
    std::unique_ptr<VarReport> report = MakeVarReport(var_, std::move(evidence));
    report->preset = preset_;
    return report;
  }

 private:
  const VarSettings var_;
  const absl::string_view preset_;
  const SinkRule sinks_;
};

}  // namespace

std::shared_ptr<const Intervention> MakeVarIntervention(const VarSettings& settings,
                                                        absl::string_view preset) {
  return settings.measured() ? std::make_shared<const VarIntervention>(settings, preset) : nullptr;
}

}  // namespace varserve::interventions
