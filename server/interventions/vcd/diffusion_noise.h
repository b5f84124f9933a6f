// The noise that VCD puts on a picture: the forward process of a diffusion model, with the schedule of VCD's
// released code (vcd_add_noise.py). Thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "server/base/prompt.h"

namespace varserve::interventions {

inline constexpr int kDiffusionSteps = 1000;

// After step `step` of the process, counted from 0: signal^2 is the product of 1 - b(t) over all t up to it,
// noise^2 what is left of 1, and b goes from 1e-5 to 0.005 along a sigmoid over [-6, 6].
PixelNoise DiffusionNoise(int step, uint64_t seed);

// The same picture, or the pictures of the prompt, with noise on the pixels. The n-th picture of a prompt has
// noise of its own.
std::shared_ptr<const ProcessedImage> WithNoise(std::shared_ptr<const ProcessedImage> image, int step,
                                                uint64_t seed);
std::shared_ptr<const Prompt> WithNoise(const Prompt& prompt, int step, uint64_t seed);

}  // namespace varserve::interventions
