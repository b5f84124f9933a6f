#include "server/model/rotary.h"

#include <ATen/ATen.h>

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

RotaryTable::RotaryTable(const RopeConfig& config, int head_dim, int max_positions, at::Device device) {
  const at::Tensor positions = at::arange(max_positions, at::kFloat).unsqueeze(1);
  const at::Tensor angles = positions * InverseFrequencies(config, head_dim).unsqueeze(0);
  cos_ = angles.cos().to(device);
  sin_ = angles.sin().to(device);
  int64_t begin = 0;
  for (const int size : config.mrope_section) {
    sections_.push_back({begin, size});
    begin += size;
  }
  if (sections_.empty()) sections_.push_back({0, head_dim / 2});
}

void RotaryTable::At(const at::Tensor& positions, backend::Rotary& out) const {
  if (sections_.size() == 1) {
    at::index_select_out(out.cos, cos_, 0, positions[0]);
    at::index_select_out(out.sin, sin_, 0, positions[0]);
    return;
  }
  for (size_t axis = 0; axis < sections_.size(); ++axis) {
    const auto [begin, size] = sections_[axis];
    const at::Tensor at = positions[static_cast<int64_t>(axis)];
    at::Tensor cos = out.cos.narrow(1, begin, size);
    at::Tensor sin = out.sin.narrow(1, begin, size);
    at::index_select_out(cos, cos_.narrow(1, begin, size), 0, at);
    at::index_select_out(sin, sin_.narrow(1, begin, size), 0, at);
  }
}

}  // namespace varserve::model
