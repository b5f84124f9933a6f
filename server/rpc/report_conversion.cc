#include "server/rpc/report_conversion.h"

#include <string>

namespace varserve::rpc {
namespace {

int32_t TokenAt(const ReportContext& context, int position) {
  const int prompt_size = context.prompt.size();
  return position < prompt_size ? context.prompt.token_ids[position]
                                : context.generated[position - prompt_size];
}

// The messages for layers and tokens name the four shares alike.
template <typename Message>
void SetShares(const engine::AttentionShares& shares, Message& message) {
  message.set_image_centric_head_ratio(shares.image_centric_heads);
  message.set_redistributed_attention(shares.redistributed);
  message.set_visual_attention_before(shares.visual_before);
  message.set_visual_attention_after(shares.visual_after);
}

void AddTokens(const engine::VarReport& report, const ReportContext& context, v1::VarReport& proto) {
  for (const engine::VarReport::Row& row : report.rows) {
    v1::TokenReport& token = *proto.add_tokens();
    const int32_t id = TokenAt(context, row.position);
    token.set_position(static_cast<uint32_t>(row.position));
    token.set_token_id(static_cast<uint32_t>(id));
    token.set_text(context.tokenizer.TokenText(id));
    token.set_generated(row.position >= context.prompt.size());
    SetShares(row.shares, token);
  }
}

void AddMaps(const engine::VarReport& report, const ReportContext& context, v1::VarReport& proto) {
  int64_t bytes = 0;
  for (const engine::VarReport::Map& map : report.maps) {
    size_t first = 0;  // of the image's visual tokens in the map
    for (size_t i = 0; i < context.prompt.spans.size(); ++i) {
      const ImageSpan& span = context.prompt.spans[i];
      const size_t grid = first + span.grid_begin() - span.begin;
      first += span.end - span.begin;
      bytes += 2 * static_cast<int64_t>(sizeof(float)) * span.rows * span.cols;
      if (bytes > context.max_map_bytes) {
        proto.set_maps_truncated(true);
        return;
      }
      v1::AttentionMap& message = *proto.add_maps();
      message.set_position(static_cast<uint32_t>(map.position));
      message.set_image(static_cast<uint32_t>(i));
      message.set_rows(static_cast<uint32_t>(span.rows));
      message.set_columns(static_cast<uint32_t>(span.cols));
      message.mutable_before()->Add(map.before.begin() + static_cast<ptrdiff_t>(grid),
                                    map.before.begin() + static_cast<ptrdiff_t>(first));
      message.mutable_after()->Add(map.after.begin() + static_cast<ptrdiff_t>(grid),
                                   map.after.begin() + static_cast<ptrdiff_t>(first));
    }
  }
}

}  // namespace

v1::VarReport ToProto(const engine::VarReport& report, const ReportContext& context) {
  v1::VarReport proto;
  *proto.mutable_effective() = context.effective;
  proto.set_eligible_rows(static_cast<uint64_t>(report.eligible_rows));
  proto.set_visual_sink_tokens(static_cast<float>(report.visual_sink_tokens));
  proto.set_text_sink_tokens(static_cast<float>(report.text_sink_tokens));
  proto.set_distinct_visual_sinks(static_cast<uint32_t>(report.visual_sinks.size()));
  SetShares(report.totals, proto);
  const v1::VarDetail detail = context.effective.detail();
  if (detail >= v1::VAR_DETAIL_LAYERS) {
    for (const engine::VarReport::Layer& layer : report.layers) {
      v1::LayerReport& message = *proto.add_layers();
      message.set_layer(static_cast<uint32_t>(layer.layer));
      message.set_visual_sink_tokens(static_cast<uint32_t>(layer.visual_sinks));
      message.set_text_sink_tokens(static_cast<uint32_t>(layer.text_sinks));
      SetShares(layer.shares, message);
    }
    for (const engine::VarReport::VisualSink& sink : report.visual_sinks) {
      v1::VisualSink& message = *proto.add_visual_sinks();
      message.set_image(static_cast<uint32_t>(sink.image));
      message.set_row(static_cast<uint32_t>(sink.row));
      message.set_column(static_cast<uint32_t>(sink.col));
      message.set_layers(static_cast<uint32_t>(sink.layers));
      message.set_max_phi(sink.max_phi);
    }
  }
  if (detail >= v1::VAR_DETAIL_TOKENS) AddTokens(report, context, proto);
  if (detail >= v1::VAR_DETAIL_MAPS) AddMaps(report, context, proto);
  return proto;
}

}  // namespace varserve::rpc
