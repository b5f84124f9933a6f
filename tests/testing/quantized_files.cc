#include "tests/testing/quantized_files.h"

#include <ATen/ATen.h>

#include <bit>

namespace varserve::testing {
namespace {

using backend::QuantizedMatrix;

at::Tensor ZerosOf(const QuantizedMatrix& m) {
  return m.zeros.defined() ? m.zeros : at::full(m.scales.sizes(), 1 << (m.bits - 1), at::kByte);
}

// A word holds `each` integers of a row: bits [i * bits, ...) are the one at place order(i).
template <typename Order>
at::Tensor PackColumns(const at::Tensor& integers, int bits, const Order& order) {
  const int each = 32 / bits;
  const at::Tensor from = integers.to(at::kInt).contiguous();
  at::Tensor words = at::zeros({integers.size(0), integers.size(1) / each}, at::kInt);
  const int32_t* row = from.const_data_ptr<int32_t>();
  int32_t* to = words.mutable_data_ptr<int32_t>();
  for (int64_t w = 0; w < words.numel(); ++w, row += each) {
    uint32_t word = 0;
    for (int i = 0; i < each; ++i) word |= static_cast<uint32_t>(row[order(i)]) << (bits * i);
    to[w] = static_cast<int32_t>(word);
  }
  return words;
}
at::Tensor PackColumns(const at::Tensor& integers, int bits) {
  return PackColumns(integers, bits, [](int i) { return i; });
}

}  // namespace

FileTensor ToFile(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  FileTensor file{.shape = flat.sizes().vec(), .values = {}};
  const bool words = flat.scalar_type() == at::kInt;
  if (words) file.dtype = "I32";
  for (int64_t i = 0; i < flat.numel(); ++i) {
    file.values.push_back(words ? std::bit_cast<float>(flat.const_data_ptr<int32_t>()[i])
                                : flat.const_data_ptr<float>()[i]);
  }
  return file;
}

FileTensors AsCompressedTensors(const std::string& stem, const QuantizedMatrix& m) {
  FileTensors files = {{stem + ".weight_packed", ToFile(PackColumns(m.codes, m.bits))},
                       {stem + ".weight_scale", ToFile(m.scales)}};
  if (m.zeros.defined()) files[stem + ".weight_zero_point"] = ToFile(PackColumns(m.zeros.t(), m.bits).t());
  return files;
}

FileTensors AsAwq(const std::string& stem, const QuantizedMatrix& m) {
  const auto order = [](int i) { return i < 4 ? 2 * i : 2 * (i - 4) + 1; };
  return {{stem + ".qweight", ToFile(PackColumns(m.codes.t(), 4, order))},
          {stem + ".qzeros", ToFile(PackColumns(ZerosOf(m).t(), 4, order))},
          {stem + ".scales", ToFile(m.scales.t())}};
}

FileTensors AsGptq(const std::string& stem, const QuantizedMatrix& m) {
  const at::Tensor minus_one = ZerosOf(m).to(at::kInt).sub(1).bitwise_and((1 << m.bits) - 1);
  at::Tensor group_of = at::arange(m.inputs(), at::kInt).div(m.group(), "floor").to(at::kInt);
  return {{stem + ".qweight", ToFile(PackColumns(m.codes, m.bits).t())},
          {stem + ".qzeros", ToFile(PackColumns(minus_one.t(), m.bits))},
          {stem + ".scales", ToFile(m.scales.t())},
          {stem + ".g_idx", ToFile(group_of)}};
}

}  // namespace varserve::testing
