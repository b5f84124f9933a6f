#include "server/interventions/vaf/vaf.h"

#include <utility>

#include "server/interventions/attention/attention_setting.h"

namespace varserve::interventions {
namespace {

// The authors' layers, in a decoder of as many as theirs.
constexpr int kAuthorsFirst = 9;
constexpr int kAuthorsLast = 14;
constexpr int kAuthorsLayers = 32;

}  // namespace

absl::StatusOr<std::shared_ptr<const Setting>> ReadVaf(const v1::VafOptions& options,
                                                       const AttentionDefaults& defaults) {
  const float visual_scale = options.has_visual_scale() ? options.visual_scale() : 1.15F;
  const float text_scale = options.has_text_scale() ? options.text_scale() : 0.95F;
  RETURN_IF_ERROR(CheckRange("visual_scale", visual_scale, 0, 10));
  RETURN_IF_ERROR(CheckRange("text_scale", text_scale, 0, 10));
  RowSetting setting{.method = kVaf, .rows = ChangedRows::kText, .row = {}};
  setting.row.change = RowChange::kReweigh;
  setting.row.visual_scale = visual_scale;
  setting.row.text_scale = text_scale;
  setting.row.first_layer = kAuthorsFirst * defaults.num_layers / kAuthorsLayers;
  setting.row.last_layer = kAuthorsLast * defaults.num_layers / kAuthorsLayers;
  RETURN_IF_ERROR(ReadLayers(options, defaults.num_layers, setting.row.first_layer, setting.row.last_layer));

  v1::Intervention effective;
  v1::VafOptions& vaf = *effective.mutable_vaf();
  vaf.set_visual_scale(visual_scale);
  vaf.set_text_scale(text_scale);
  SetLayers(setting.row, vaf);
  ASSIGN_OR_RETURN(const v1::VarDetail detail, ReadDetail(options.detail()));
  vaf.set_detail(detail);
  return MakeAttentionSetting(setting, detail, std::move(effective));
}

}  // namespace varserve::interventions
