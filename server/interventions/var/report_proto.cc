#include "server/interventions/var/report_proto.h"

#include <algorithm>
#include <string>

namespace varserve::interventions {
namespace {

constexpr size_t kFrameBytes = 6;        // maximum per message in a repeated field
constexpr int64_t kMapFieldsBytes = 48;  // maximum for an AttentionMap without its values

int32_t TokenAt(const ReportContext& context, int position) {
  const int prompt_size = context.prompt.size();
  return position < prompt_size ? context.prompt.token_ids[position]
                                : context.generated[position - prompt_size];
}

// The messages for layers and tokens use the same names for the four shares.
template <typename Message>
void SetShares(const AttentionShares& shares, Message& message) {
  message.set_image_centric_head_ratio(shares.image_centric_heads);
  message.set_redistributed_attention(shares.redistributed);
  message.set_visual_attention_before(shares.visual_before);
  message.set_visual_attention_after(shares.visual_after);
}

// Removes the last element if it does not fit the remaining `bytes`, and returns false.
template <typename Message>
bool KeepLast(google::protobuf::RepeatedPtrField<Message>& messages, size_t& bytes) {
  const size_t size = messages.rbegin()->ByteSizeLong() + kFrameBytes;
  if (size > bytes) {
    messages.RemoveLast();
    return false;
  }
  bytes -= size;
  return true;
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
    if (!KeepLast(*proto.mutable_visual_sinks(), bytes)) return proto.set_visual_sinks_truncated(true);
  }
}

void AddTokens(const VarReport& report, const ReportContext& context, size_t& bytes, v1::VarReport& proto) {
  for (const VarReport::Row& row : report.rows) {
    v1::TokenReport& token = *proto.add_tokens();
    const int32_t id = TokenAt(context, row.position);
    token.set_position(static_cast<uint32_t>(row.position));
    token.set_token_id(static_cast<uint32_t>(id));
    token.set_text(context.token_text(id));
    token.set_generated(row.position >= context.prompt.size());
    SetShares(row.shares, token);
    if (!KeepLast(*proto.mutable_tokens(), bytes)) return proto.set_tokens_truncated(true);
  }
}

void AddMaps(const VarReport& report, const ReportContext& context, v1::VarReport& proto) {
  int64_t bytes = 0;
  for (const AttentionMap& map : report.maps) {
    size_t first = 0;  // index in the map of the image's first visual token
    for (size_t i = 0; i < context.prompt.spans.size(); ++i) {
      const ImageLayout& layout = *context.prompt.spans[i].layout;
      const size_t grid = first + layout.grid_begin();
      first += layout.num_visual_tokens();
      bytes += MapBytes(layout) + kMapFieldsBytes;
      if (bytes > context.max_map_bytes) {
        proto.set_maps_truncated(true);
        return;
      }
      v1::AttentionMap& message = *proto.add_maps();
      message.set_position(static_cast<uint32_t>(map.position));
      message.set_image(static_cast<uint32_t>(i));
      message.set_rows(static_cast<uint32_t>(layout.rows));
      message.set_columns(static_cast<uint32_t>(layout.cols));
      message.mutable_before()->Add(map.before.begin() + static_cast<ptrdiff_t>(grid),
                                    map.before.begin() + static_cast<ptrdiff_t>(first));
      message.mutable_after()->Add(map.after.begin() + static_cast<ptrdiff_t>(grid),
                                   map.after.begin() + static_cast<ptrdiff_t>(first));
    }
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
  if (detail >= v1::VAR_DETAIL_TOKENS) AddTokens(report, context, bytes, proto);
  if (detail >= v1::VAR_DETAIL_MAPS) AddMaps(report, context, proto);
  return proto;
}

}  // namespace varserve::interventions
