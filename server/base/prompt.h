// A prompt as the model sees it: token ids, the pictures, and where each picture's visual tokens stand.
// Made by preprocess/, carried by engine/, read by model/. Plain data, immutable once built.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace varserve {

// SHA-256 of whatever identifies a piece of content.
using Digest = std::array<uint8_t, 32>;

// A picture after resizing, cropping, rescaling and normalizing, as the vision tower takes it.
// The part of the upright picture that the processed image shows, in fractions of its width and height, from
// the top left. Below 0 or above 1 where the picture was padded.
struct ImageRegion {
  float left = 0;
  float top = 0;
  float right = 1;
  float bottom = 1;
};

struct ProcessedImage {
  int height = 0;             // pixels
  int width = 0;              // pixels
  std::vector<float> pixels;  // [3, height, width], normalized
  ImageRegion region;
  Digest digest{};  // of height, width and pixels: equal digests, equal visual tokens
};

// The visual tokens of one image inside the prompt: [begin, end), row by row over a grid of `rows` x `cols`.
// Models that keep the vision tower's class token have it first, before the grid.
struct ImageSpan {
  int begin = 0;
  int end = 0;
  int rows = 0;
  int cols = 0;

  int grid_begin() const { return end - rows * cols; }
};

struct Prompt {
  std::vector<int32_t> token_ids;                             // visual tokens hold the placeholder's id
  std::vector<ImageSpan> spans;                               // in prompt order, one per image
  std::vector<std::shared_ptr<const ProcessedImage>> images;  // images[i] fills spans[i]

  int size() const { return static_cast<int>(token_ids.size()); }

  // Number of leading tokens no VAR setting can influence: everything up to the first text token that has a
  // visual token before it; the whole prompt where there is no such token (var.md calls the others eligible).
  int prefix_size() const {
    if (spans.empty()) return size();
    int end = spans.front().end;
    for (size_t i = 1; i < spans.size() && spans[i].begin == end; ++i) end = spans[i].end;
    return end;
  }
};

}  // namespace varserve
