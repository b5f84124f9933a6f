#include "server/interventions/var/report_proto.h"

#include <algorithm>

#include "server/interventions/setting/report_parts.h"

namespace varserve::interventions {
namespace {

// The messages for layers and tokens use the same names for the four shares.
template <typename Message>
void SetShares(const AttentionShares& shares, Message& message) {
  message.set_image_centric_head_ratio(shares.changed_heads);
  message.set_redistributed_attention(shares.redistributed);
  message.set_visual_attention_before(shares.visual_before);
  message.set_visual_attention_after(shares.visual_after);
}

void AddLayers(const VarReport& report, size_t& bytes, v1::VarReport& proto) {
  for (const VarReport::Layer& layer : report.layers) {
    v1::LayerReport& message = *proto.add_layers();
    message.set_layer(static_cast<uint32_t>(layer.layer));
    message.set_visual_sink_tokens(static_cast<uint32_t>(layer.visual_sinks));
    message.set_text_sink_tokens(static_cast<uint32_t>(layer.text_sinks));
    SetShares(layer.shares, message);
    bytes -= std::min(bytes, message.ByteSizeLong() + kFrameBytes);
  }
}

void AddVisualSinks(const VarReport& report, size_t& bytes, v1::VarReport& proto) {
  for (const VarReport::VisualSink& sink : report.visual_sinks) {
    v1::VisualSink& message = *proto.add_visual_sinks();
    message.set_image(static_cast<uint32_t>(sink.image));
    message.set_row(static_cast<uint32_t>(sink.row));
    message.set_column(static_cast<uint32_t>(sink.col));
    message.set_layers(static_cast<uint32_t>(sink.layers));
    message.set_max_phi(sink.max_phi);
    message.set_in_thumbnail(sink.in_thumbnail);
    if (!KeepLast(*proto.mutable_visual_sinks(), bytes)) return proto.set_visual_sinks_truncated(true);
  }
}

}  // namespace

v1::VarReport ToProto(const VarReport& report, const v1::VarOptions& effective,
                      const ReportContext& context) {
  v1::VarReport proto;
  *proto.mutable_effective() = effective;
  proto.set_eligible_rows(static_cast<uint64_t>(report.eligible_rows));
  proto.set_visual_sink_tokens(static_cast<float>(report.visual_sink_tokens));
  proto.set_text_sink_tokens(static_cast<float>(report.text_sink_tokens));
  proto.set_distinct_visual_sinks(static_cast<uint32_t>(report.visual_sinks.size()));
  SetShares(report.totals, proto);
  const v1::VarDetail detail = effective.detail();
  size_t bytes = context.max_bytes;
  if (detail >= v1::VAR_DETAIL_LAYERS) {
    AddLayers(report, bytes, proto);
    AddVisualSinks(report, bytes, proto);
  }
  if (detail >= v1::VAR_DETAIL_TOKENS) {
    AddTokens(report.rows, context, bytes, proto,
              [](const AttentionShares& shares, v1::TokenReport& token) { SetShares(shares, token); });
  }
  if (detail >= v1::VAR_DETAIL_MAPS) AddMaps(report.maps, context, proto);
  return proto;
}

}  // namespace varserve::interventions
