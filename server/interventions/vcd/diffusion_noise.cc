#include "server/interventions/vcd/diffusion_noise.h"

#include <array>
#include <cmath>
#include <string>
#include <utility>

namespace varserve::interventions {
namespace {

constexpr double kLeastVariance = 1e-5;
constexpr double kMostVariance = 0.5e-2;
constexpr double kSigmoidEnd = 6.0;

}  // namespace

PixelNoise DiffusionNoise(int step, uint64_t seed) {
  double signal = 1.0;  // squared
  for (int t = 0; t <= step; ++t) {
    const double x = kSigmoidEnd * (2.0 * t / (kDiffusionSteps - 1) - 1.0);
    signal *= 1.0 - (kLeastVariance + (kMostVariance - kLeastVariance) / (1.0 + std::exp(-x)));
  }
  return {.signal = static_cast<float>(std::sqrt(signal)),
          .noise = static_cast<float>(std::sqrt(1.0 - signal)),
          .seed = seed};
}

std::shared_ptr<const ProcessedImage> WithNoise(std::shared_ptr<const ProcessedImage> image, int step,
                                                uint64_t seed) {
  const std::array<uint64_t, 2> parameters = {static_cast<uint64_t>(step), seed};
  auto noisy = std::make_shared<ProcessedImage>();
  noisy->height = image->height;
  noisy->width = image->width;
  noisy->region = image->region;
  noisy->layout = image->layout;
  noisy->digest = Sha256({BytesOf(image->digest),
                          "diffusion noise",
                          {reinterpret_cast<const char*>(parameters.data()), sizeof(parameters)}});
  noisy->noise = DiffusionNoise(step, seed);
  noisy->original = std::move(image);
  return noisy;
}

std::shared_ptr<const Prompt> WithNoise(const Prompt& prompt, int step, uint64_t seed) {
  auto noisy = std::make_shared<Prompt>(prompt);
  for (std::shared_ptr<const ProcessedImage>& image : noisy->images)
    image = WithNoise(std::move(image), step, seed++);
  return noisy;
}

}  // namespace varserve::interventions
