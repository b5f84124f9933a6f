// A prompt as the model sees it: token ids, images, and the position of each image's tokens. Built by text/,
// held by engine/, read by model/. Plain data, immutable once built.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "server/base/digest.h"
#include "server/base/image_layout.h"
#include "server/base/pixel_noise.h"

namespace varserve {

// The part of the upright image that the processed image shows, as fractions of its width and height, from
// the top left. Below 0 or above 1 where the image was padded.
struct ImageRegion {
  float left = 0;
  float top = 0;
  float right = 1;
  float bottom = 1;
};

// Rescaled and normalized value of each 8-bit value, by channel.
using Normalization = std::array<std::array<float, 256>, 3>;

// An image after resizing and cropping. The vision tower's input, Pixels(), is four times as large and is
// created only when needed. Where the tower sees images in tiles, these are one below the other.
struct ProcessedImage {
  int height = 0;            // pixels, of all tiles
  int width = 0;             // pixels
  std::vector<uint8_t> rgb;  // [height, width, 3]
  std::shared_ptr<const Normalization> normalization;
  ImageRegion region;
  std::shared_ptr<const ImageLayout> layout;
  // of height, width, rgb, normalization and the layout's joined tiles, or of the original and the noise;
  // equal digests mean equal visual tokens
  Digest digest{};
  // Set for an image with noise, which has no rgb of its own.
  std::shared_ptr<const ProcessedImage> original;
  PixelNoise noise;

  // [3, height, width], rescaled and normalized, then with noise
  std::vector<float> Pixels() const {
    if (original != nullptr) {
      std::vector<float> pixels = original->Pixels();
      AddNoise(noise, absl::MakeSpan(pixels));
      return pixels;
    }
    const size_t size = static_cast<size_t>(height) * width;
    std::vector<float> pixels(3 * size);
    for (size_t c = 0; c < 3; ++c) {
      for (size_t i = 0; i < size; ++i) pixels[c * size + i] = (*normalization)[c][rgb[3 * i + c]];
    }
    return pixels;
  }
};

// Position of an image in the prompt: [begin, end) are the tokens of its layout.
struct ImageSpan {
  int begin = 0;
  int end = 0;
  std::shared_ptr<const ImageLayout> layout;
};

struct Prompt {
  std::vector<int32_t> token_ids;                             // includes the tokens of the images' layouts
  std::vector<ImageSpan> spans;                               // in prompt order, one per image
  std::vector<std::shared_ptr<const ProcessedImage>> images;  // images[i] fills spans[i]

  int size() const { return static_cast<int>(token_ids.size()); }

  // The token at a position of the sequence: the prompt followed by the generated tokens.
  int32_t TokenAt(int position, absl::Span<const int32_t> generated) const {
    return position < size() ? token_ids[position] : generated[position - size()];
  }

  // Number of leading tokens that no intervention can influence: everything before the first text token after
  // an image, or the whole prompt if there is no such token. Text tokens inside an image's layout are part of
  // the image.
  int prefix_size() const {
    if (spans.empty()) return size();
    int end = spans.front().end;
    for (size_t i = 1; i < spans.size() && spans[i].begin == end; ++i) end = spans[i].end;
    return end;
  }
};

}  // namespace varserve
