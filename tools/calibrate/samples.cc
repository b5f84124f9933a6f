#include "tools/calibrate/samples.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <random>

namespace varserve::calibrate {
namespace {

using image::RgbImage;
using Color = std::array<int, 3>;

constexpr int kPictures = 8;
constexpr int kWidth = 448;
constexpr int kHeight = 384;
constexpr int kGrain = 24;  // of 255

// The standard defines the numbers that mt19937 draws, but not those of its distributions.
class Painter {
 public:
  explicit Painter(uint32_t seed) : random_(seed) {}

  RgbImage Paint() {
    RgbImage picture{.width = kWidth, .height = kHeight, .rgb = std::vector<uint8_t>(3 * kWidth * kHeight)};
    FillBackground(picture);
    for (int shapes = Below(3) + 2; shapes > 0; --shapes) AddShape(picture);
    return picture;
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  Color AnyColor() { return {Below(256), Below(256), Below(256)}; }

  static void Set(RgbImage& picture, int x, int y, const Color& color) {
    uint8_t* pixel = &picture.rgb[3 * (static_cast<size_t>(y) * kWidth + x)];
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(std::clamp(color[c], 0, 255));
  }

  void FillBackground(RgbImage& picture) {
    const Color top = AnyColor();
    const Color bottom = Below(2) == 0 ? top : AnyColor();
    const int grain = Below(2) * kGrain;
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        const int noise = grain == 0 ? 0 : Below(2 * grain) - grain;
        Color color;
        for (int c = 0; c < 3; ++c) color[c] = top[c] + (bottom[c] - top[c]) * y / kHeight + noise;
        Set(picture, x, y, color);
      }
    }
  }

  void AddShape(RgbImage& picture) {
    const Color color = AnyColor();
    const int kind = Below(3);
    const int radius = kHeight / 12 + Below(kHeight / 6);
    const int center_x = radius + Below(kWidth - 2 * radius);
    const int center_y = radius + Below(kHeight - 2 * radius);
    for (int dy = -radius; dy < radius; ++dy) {
      for (int dx = -radius; dx < radius; ++dx) {
        const bool inside = kind == 0   ? dx * dx + dy * dy < radius * radius
                            : kind == 1 ? true
                                        : 2 * std::abs(dx) < dy + radius;
        if (inside) Set(picture, center_x + dx, center_y + dy, color);
      }
    }
  }

  std::mt19937 random_;
};

}  // namespace

std::vector<RgbImage> SamplePictures() {
  std::vector<RgbImage> pictures;
  for (uint32_t seed = 1; seed <= kPictures; ++seed) pictures.push_back(Painter(seed).Paint());
  return pictures;
}

std::vector<std::string> SampleQuestions() {
  return {
      "Describe the picture in detail: name every object that you can see, where it is, what color it has, "
      "and "
      "what it may be good for.",
      "How many objects are there in the image? Count them one after the other, from left to right, and then "
      "say "
      "which one is the largest and which one is the smallest.",
      "Is there a person, an animal or a car in this picture? If there is, say what it is doing; if there is "
      "not, "
      "say so in one short sentence.",
      "A friend who cannot see the picture asks you what is on it. Tell her about the background first, then "
      "about "
      "the things in front of it, and do not make anything up.",
      "What do you see? Answer with a single word or phrase, and after it, in brackets, say how sure you "
      "are.",
      "Look at the upper half of the image and compare it with the lower half. What is different, what is "
      "the same, "
      "and which of the two has more in it?",
      "Write two lines that rhyme about what is shown here. Then write a title for the picture, no longer "
      "than five "
      "words.",
      "1. What is in the middle? 2. What is to the left of it? 3. What is to the right of it? 4. Which color "
      "is the "
      "most common one?",
  };
}

}  // namespace varserve::calibrate
