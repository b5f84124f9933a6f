#include "server/model/rotary.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace varserve::model {
namespace {

// Angle per position of each pair of dimensions. => [D / 2] float32
at::Tensor InverseFrequencies(const RopeConfig& c, int head_dim) {
  // In float32 as in the reference implementation, so that far positions agree.
  at::Tensor frequencies =
      at::pow(c.theta, at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / head_dim).reciprocal();
  if (c.type == RopeConfig::Type::kLinear) return frequencies / c.factor;
  if (c.type != RopeConfig::Type::kLlama3) return frequencies;
  // Llama 3: long wavelengths are slowed down by `factor`, short ones kept, those between blended.
  const double low_wavelength = static_cast<double>(c.original_max_position_embeddings) / c.low_freq_factor;
  const double high_wavelength = static_cast<double>(c.original_max_position_embeddings) / c.high_freq_factor;
  const at::Tensor wavelengths = 2.0 * std::numbers::pi / frequencies;
  const at::Tensor slowed = at::where(wavelengths > low_wavelength, frequencies / c.factor, frequencies);
  const at::Tensor smooth =
      (static_cast<double>(c.original_max_position_embeddings) / wavelengths - c.low_freq_factor) /
      (c.high_freq_factor - c.low_freq_factor);
  const at::Tensor blended = (1.0 - smooth) * slowed / c.factor + smooth * slowed;
  const at::Tensor between = (wavelengths >= high_wavelength).logical_and(wavelengths <= low_wavelength);
  return at::where(between, blended, slowed);
}

}  // namespace

std::vector<RotaryTable::Section> RotaryTable::Sections(const RopeConfig& config, int64_t pairs) {
  if (config.mrope_section.empty()) return {{0, pairs, 1}};
  std::vector<Section> sections;
  if (config.mrope_interleaved) {
    sections.push_back({0, pairs, 1});
    for (int64_t axis = 1; axis < config.num_axes(); ++axis) {
      sections.push_back({axis, std::min(pairs, int64_t{config.mrope_section[axis]} * config.num_axes()),
                          config.num_axes()});
    }
    return sections;
  }
  int64_t begin = 0;
  for (const int size : config.mrope_section) {
    sections.push_back({begin, begin + size, 1});
    begin += size;
  }
  return sections;
}

RotaryTable::RotaryTable(const RopeConfig& config, int head_dim, int max_positions, at::Device device) {
  const at::Tensor positions = at::arange(max_positions, at::kFloat).unsqueeze(1);
  const at::Tensor angles = positions * InverseFrequencies(config, head_dim).unsqueeze(0);
  cos_ = angles.cos().to(device);
  sin_ = angles.sin().to(device);
  sections_ = Sections(config, head_dim / 2);
}

void RotaryTable::At(const at::Tensor& positions, backend::Rotary& out) const {
  for (size_t axis = 0; axis < sections_.size(); ++axis) {
    const auto [begin, end, step] = sections_[axis];
    const at::Tensor at = positions[static_cast<int64_t>(axis)];
    at::Tensor cos = out.cos.slice(1, begin, end, step);
    at::Tensor sin = out.sin.slice(1, begin, end, step);
    at::index_select_out(cos, cos_.slice(1, begin, end, step), 0, at);
    at::index_select_out(sin, sin_.slice(1, begin, end, step), 0, at);
  }
}

}  // namespace varserve::model
