#include "server/chat/report_conversion.h"

#include <algorithm>
#include <string>

namespace varserve::chat {
namespace {

constexpr size_t kFrameBytes = 6;        // of a message in a repeated field, at most
constexpr int64_t kMapFieldsBytes = 48;  // of an AttentionMap without its numbers, at most

// The messages for layers and tokens name the four shares alike.
template <typename Message>
void SetShares(const engine::AttentionShares& shares, Message& message) {
  message.set_image_centric_head_ratio(shares.image_centric_heads);
  message.set_redistributed_attention(shares.redistributed);
  message.set_visual_attention_before(shares.visual_before);
  message.set_visual_attention_after(shares.visual_after);
}

// Keeps the last element only if it fits into what is left of `bytes`; false if it did not.
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

void AddLayers(const engine::VarReport& report, size_t& bytes, v1::VarReport& proto) {
  for (const engine::VarReport::Layer& layer : report.layers) {
    v1::LayerReport& message = *proto.add_layers();
    message.set_layer(static_cast<uint32_t>(layer.layer));
    message.set_visual_sink_tokens(static_cast<uint32_t>(layer.visual_sinks));
    message.set_text_sink_tokens(static_cast<uint32_t>(layer.text_sinks));
    SetShares(layer.shares, message);
    bytes -= std::min(bytes, message.ByteSizeLong() + kFrameBytes);
  }
}

void AddVisualSinks(const engine::VarReport& report, size_t& bytes, v1::VarReport& proto) {
  for (const engine::VarReport::VisualSink& sink : report.visual_sinks) {
    v1::VisualSink& message = *proto.add_visual_sinks();
    message.set_image(static_cast<uint32_t>(sink.image));
    message.set_row(static_cast<uint32_t>(sink.row));
    message.set_column(static_cast<uint32_t>(sink.col));
    message.set_layers(static_cast<uint32_t>(sink.layers));
    message.set_max_phi(sink.max_phi);
    if (!KeepLast(*proto.mutable_visual_sinks(), bytes)) return proto.set_visual_sinks_truncated(true);
  }
}

void AddTokens(const engine::VarReport& report, const ReportContext& context, size_t& bytes,
               v1::VarReport& proto) {
  for (const engine::VarReport::Row& row : report.rows) {
    v1::TokenReport& token = *proto.add_tokens();
    const int32_t id = context.prompt.TokenAt(row.position, context.generated);
    token.set_position(static_cast<uint32_t>(row.position));
    token.set_token_id(static_cast<uint32_t>(id));
    token.set_text(context.tokenizer.TokenText(id));
    token.set_generated(row.position >= context.prompt.size());
    SetShares(row.shares, token);
    if (!KeepLast(*proto.mutable_tokens(), bytes)) return proto.set_tokens_truncated(true);
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
      bytes += 2 * static_cast<int64_t>(sizeof(float)) * span.rows * span.cols + kMapFieldsBytes;
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
  size_t bytes = context.max_bytes;
  if (detail >= v1::VAR_DETAIL_LAYERS) {
    AddLayers(report, bytes, proto);
    AddVisualSinks(report, bytes, proto);
  }
  if (detail >= v1::VAR_DETAIL_TOKENS) AddTokens(report, context, bytes, proto);
  if (detail >= v1::VAR_DETAIL_MAPS) AddMaps(report, context, proto);
  return proto;
}

}  // namespace varserve::chat
