// The parts that the reports of all interventions have in the API: tokens and maps. Thread-safe.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/base/image_layout.h"
#include "server/interventions/measurements.h"
#include "server/interventions/setting/setting.h"

namespace varserve::interventions {

inline constexpr size_t kFrameBytes = 6;        // maximum per message in a repeated field
inline constexpr int64_t kMapFieldsBytes = 64;  // maximum for an AttentionMap without its values

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

// Adds a message for each row, as many as fit the remaining `bytes`. Row has `position` and `shares`;
// set_shares(shares, message) sets the fields that the report's message has for them.
template <typename Row, typename Message, typename SetShares>
void AddTokens(const std::vector<Row>& rows, const ReportContext& context, size_t& bytes, Message& report,
               SetShares set_shares) {
  const int prompt_size = context.prompt.size();
  for (const Row& row : rows) {
    auto& token = *report.add_tokens();
    const int32_t id = context.prompt.TokenAt(row.position, context.generated);
    token.set_position(static_cast<uint32_t>(row.position));
    token.set_token_id(static_cast<uint32_t>(id));
    token.set_text(context.token_text(id));
    token.set_generated(row.position >= prompt_size);
    set_shares(row.shares, token);
    if (!KeepLast(*report.mutable_tokens(), bytes)) return report.set_tokens_truncated(true);
  }
}

// Writes the values of an image's visual tokens into the cells of its grid and of its thumbnail.
inline void PlaceInCells(const float* values, const ImageLayout& layout,
                         google::protobuf::RepeatedField<float>& grid,
                         google::protobuf::RepeatedField<float>& thumbnail) {
  grid.Resize(layout.num_grid_cells(), 0.0F);
  thumbnail.Resize(layout.num_cells() - layout.num_grid_cells(), 0.0F);
  for (int i = 0; i < layout.num_visual_tokens(); ++i) {
    const int cell = layout.cells[i];
    if (cell < 0) continue;
    const bool in_grid = cell < layout.num_grid_cells();
    (in_grid ? grid[cell] : thumbnail[cell - layout.num_grid_cells()]) = values[i];
  }
}

// Adds the maps of each image, as many as fit the server's limit.
template <typename Message>
void AddMaps(const std::vector<AttentionMap>& maps, const ReportContext& context, Message& report) {
  int64_t bytes = 0;
  for (const AttentionMap& map : maps) {
    size_t first = 0;  // index in the map of the image's first visual token
    for (size_t i = 0; i < context.prompt.spans.size(); ++i) {
      const ImageLayout& layout = *context.prompt.spans[i].layout;
      bytes += MapBytes(layout) + kMapFieldsBytes;
      if (bytes > context.max_map_bytes) {
        report.set_maps_truncated(true);
        return;
      }
      v1::AttentionMap& message = *report.add_maps();
      message.set_position(static_cast<uint32_t>(map.position));
      message.set_image(static_cast<uint32_t>(i));
      message.set_rows(static_cast<uint32_t>(layout.rows));
      message.set_columns(static_cast<uint32_t>(layout.cols));
      message.set_thumbnail_rows(static_cast<uint32_t>(layout.thumbnail_rows));
      message.set_thumbnail_columns(static_cast<uint32_t>(layout.thumbnail_cols));
      PlaceInCells(map.before.data() + first, layout, *message.mutable_before(),
                   *message.mutable_thumbnail_before());
      PlaceInCells(map.after.data() + first, layout, *message.mutable_after(),
                   *message.mutable_thumbnail_after());
      first += layout.num_visual_tokens();
    }
  }
}

}  // namespace varserve::interventions
