#include "server/interventions/attention/row_intervention.h"

#include <bit>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/interventions/attention/report.h"
#include "server/interventions/eligible_rows.h"

namespace varserve::interventions {
namespace {

// All that the setting may set; floats by their bits.
std::string KeyOf(const RowSetting& setting) {
  const AttentionRow& row = setting.row;
  const auto bits = [](float value) { return std::bit_cast<uint32_t>(value); };
  return absl::StrCat(setting.method, " ", row.first_layer, " ", row.last_layer, " ", bits(row.visual_scale),
                      " ", bits(row.visual_boost), " ", bits(row.text_scale), " ", row.kept_heads, " ",
                      bits(row.suppressed_gain), ";");
}

class RowIntervention final : public Intervention {
 public:
  explicit RowIntervention(const RowSetting& setting)
      : Intervention(Mode::kOff, KeyOf(setting)), setting_(setting) {}

  absl::Status Check(int num_layers, int /*token_measures*/) const override {
    const AttentionRow& row = setting_.row;
    if (row.first_layer < 0 || row.first_layer > row.last_layer || row.last_layer >= num_layers) {
      return absl::InvalidArgumentError(absl::StrCat("intervention.", setting_.method, ".last_layer: layers ",
                                                     row.first_layer, " to ", row.last_layer,
                                                     " are not within the model's 0 to ", num_layers - 1));
    }
    return absl::OkStatus();
  }

  bool ActsOn(const Prompt& prompt, int position) const override {
    return IsEligible(prompt, position) &&
           (setting_.rows == ChangedRows::kText || position >= prompt.size() - 1);
  }

  void SetRow(const RowPlace& place, AttentionRow& row) const override {
    if (!ActsOn(place.prompt, place.position)) return;
    AttentionRow changed = setting_.row;
    changed.sequence = row.sequence;
    changed.num_slots = row.num_slots;
    changed.map = row.map;
    changed.text_slots = place.prompt.spans.front().begin;
    row = changed;
  }

  // In a later prompt, the last token of this one and its answer may be tokens like any other.
  bool MayShare(const Prompt& prompt, int end) const override {
    return setting_.rows == ChangedRows::kText || end <= prompt.size() - 1;
  }

  std::unique_ptr<const Report> MakeReport(SequenceEvidence evidence) const override {
    return MakeAttentionReport(setting_, *this, std::move(evidence));
  }

 private:
  const RowSetting setting_;
};

}  // namespace

std::shared_ptr<const Intervention> MakeRowIntervention(const RowSetting& setting) {
  return std::make_shared<const RowIntervention>(setting);
}

}  // namespace varserve::interventions
