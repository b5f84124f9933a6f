#include "server/model/quantized_weights.h"

#include <ATen/ATen.h>

#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/model/stored_tensor.h"

namespace varserve::model {
namespace {

using backend::QuantizedMatrix;
using Format = QuantizationConfig::Format;

// Columns of eight nibbles in AutoAWQ's order: nibble i of a word is column kAwqOrder[i].
constexpr std::array<int, 8> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};

std::string StemOf(const std::string& name) { return std::string(absl::StripSuffix(name, ".weight")); }

const char* PackedSuffix(Format format) {
  return format == Format::kCompressedTensors ? ".weight_packed" : ".qweight";
}

// Integers packed along the last dimension: [rows, words] int32 => [rows, words * 32 / bits] uint8. `order`:
// which place of a word the i-th lowest bits have; null: the i-th.
at::Tensor Unpack(const at::Tensor& words, int bits, const std::array<int, 8>* order) {
  const int each = 32 / bits;
  at::Tensor codes = at::empty({words.size(0), words.size(1) * each}, at::kByte);
  const at::Tensor contiguous = words.contiguous();
  const auto* from = contiguous.const_data_ptr<int32_t>();
  auto* to = codes.mutable_data_ptr<uint8_t>();
  for (int64_t w = 0; w < words.numel(); ++w, to += each) {
    const auto word = static_cast<uint32_t>(from[w]);
    for (int i = 0; i < each; ++i)
      to[order != nullptr ? (*order)[i] : i] = static_cast<uint8_t>(word >> (bits * i) & ((1U << bits) - 1));
  }
  return codes;
}

// Parts of one matrix as they are stored.
class Reader {
 public:
  Reader(const Checkpoint& checkpoint, std::string stem) : checkpoint_(checkpoint), stem_(std::move(stem)) {}

  bool Has(const char* suffix) const { return checkpoint_.Find(stem_ + suffix) != nullptr; }
  absl::StatusOr<at::Tensor> Integers(const char* suffix, at::IntArrayRef shape) const {
    return StoredTensor(checkpoint_, stem_ + suffix, shape, {{"I32", at::kInt}});
  }
  absl::StatusOr<at::Tensor> Scales(const char* suffix, at::IntArrayRef shape) const {
    ASSIGN_OR_RETURN(const at::Tensor scales, StoredTensor(checkpoint_, stem_ + suffix, shape, FloatTypes()));
    return scales.to(at::kFloat);
  }
  absl::Status Refuse(const char* suffix, absl::string_view problem) const {
    const Checkpoint::Entry* const entry = checkpoint_.Find(stem_ + suffix);
    return absl::FailedPreconditionError(
        absl::StrCat(entry->file->name(), ": tensor ", entry->stored_name, " ", problem));
  }

 private:
  const Checkpoint& checkpoint_;
  const std::string stem_;
};

struct Size {
  int64_t outputs;
  int64_t inputs;
  int64_t groups;
};

absl::StatusOr<QuantizedMatrix> ReadCompressedTensors(const Reader& reader, const QuantizationConfig& config,
                                                      const Size& s) {
  const int each = 32 / config.bits;
  QuantizedMatrix m{.bits = config.bits};
  ASSIGN_OR_RETURN(const at::Tensor words, reader.Integers(".weight_packed", {s.outputs, s.inputs / each}));
  m.codes = Unpack(words, config.bits, nullptr);
  ASSIGN_OR_RETURN(m.scales, reader.Scales(".weight_scale", {s.outputs, s.groups}));
  if (reader.Has(".weight_g_idx"))
    return reader.Refuse(".weight_g_idx", "reorders inputs, which is not supported");
  if (!config.symmetric) {  // packed along the outputs
    ASSIGN_OR_RETURN(const at::Tensor zeros,
                     reader.Integers(".weight_zero_point", {(s.outputs + each - 1) / each, s.groups}));
    m.zeros = Unpack(zeros.t(), config.bits, nullptr).narrow(1, 0, s.outputs).t().contiguous();
  }
  return m;
}

absl::StatusOr<QuantizedMatrix> ReadAwq(const Reader& reader, const QuantizationConfig& config,
                                        const Size& s) {
  QuantizedMatrix m{.bits = 4};
  ASSIGN_OR_RETURN(const at::Tensor words, reader.Integers(".qweight", {s.inputs, s.outputs / 8}));
  m.codes = Unpack(words, 4, &kAwqOrder).t().contiguous();
  ASSIGN_OR_RETURN(const at::Tensor scales, reader.Scales(".scales", {s.groups, s.outputs}));
  m.scales = scales.t().contiguous();
  if (!config.symmetric) {
    ASSIGN_OR_RETURN(const at::Tensor zeros, reader.Integers(".qzeros", {s.groups, s.outputs / 8}));
    m.zeros = Unpack(zeros, 4, &kAwqOrder).t().contiguous();
  }
  return m;
}

absl::StatusOr<QuantizedMatrix> ReadGptq(const Reader& reader, const QuantizationConfig& config,
                                         const Size& s) {
  const int each = 32 / config.bits;
  QuantizedMatrix m{.bits = config.bits};
  ASSIGN_OR_RETURN(const at::Tensor words, reader.Integers(".qweight", {s.inputs / each, s.outputs}));
  m.codes = Unpack(words.t(), config.bits, nullptr);
  ASSIGN_OR_RETURN(const at::Tensor scales, reader.Scales(".scales", {s.groups, s.outputs}));
  m.scales = scales.t().contiguous();
  ASSIGN_OR_RETURN(const at::Tensor stored, reader.Integers(".qzeros", {s.groups, s.outputs / each}));
  const int mask = (1 << config.bits) - 1;
  at::Tensor zeros = Unpack(stored, config.bits, nullptr).t().contiguous();
  if (config.zeros_minus_one) zeros = zeros.add(1).bitwise_and(mask);
  if (!zeros.eq(1 << (config.bits - 1)).all().item<bool>()) {
    if (config.bits == 8) return reader.Refuse(".qzeros", "has zeros, which are not supported for 8 bits");
    m.zeros = zeros;
  }
  if (reader.Has(".g_idx")) {
    ASSIGN_OR_RETURN(const at::Tensor group_of, reader.Integers(".g_idx", {s.inputs}));
    const at::Tensor in_order = at::arange(s.inputs, at::kInt).div(s.inputs / s.groups, "floor");
    if (!at::equal(group_of, in_order.to(at::kInt)))
      return reader.Refuse(".g_idx", "reorders inputs (desc_act), which is not supported");
  }
  return m;
}

// Kernels have groups of at most 128 inputs: longer ones become several with the same scale.
absl::Status ShortenGroups(const std::string& name, QuantizedMatrix& m) {
  if (m.group() <= 128) return absl::OkStatus();
  const int64_t group = backend::QuantizationGroup(m.inputs(), 8);
  if (group == 0 || m.group() % group != 0) {
    return absl::FailedPreconditionError(absl::StrCat("config.json: quantization_config: groups of ",
                                                      m.group(), " inputs of ", name,
                                                      " cannot be divided into groups of 128, 64 or 32"));
  }
  const int64_t times = m.group() / group;
  m.scales = m.scales.repeat_interleave(times, 1);
  if (m.zeros.defined()) m.zeros = m.zeros.repeat_interleave(times, 1);
  return absl::OkStatus();
}

}  // namespace

bool IsQuantized(const Checkpoint& checkpoint, const QuantizationConfig& config, const std::string& name) {
  return config.format != Format::kNone &&
         checkpoint.Find(StemOf(name) + PackedSuffix(config.format)) != nullptr;
}

absl::StatusOr<QuantizedMatrix> ReadQuantized(const Checkpoint& checkpoint, const QuantizationConfig& config,
                                              const std::string& name, int64_t outputs, int64_t inputs) {
  const int64_t group = config.group == 0 ? inputs : config.group;
  if (inputs % group != 0 || inputs % 32 != 0 || outputs % 8 != 0) {
    return absl::FailedPreconditionError(absl::StrCat("config.json: quantization_config: groups of ", group,
                                                      " do not divide the ", inputs, " inputs of ", name));
  }
  const Reader reader(checkpoint, StemOf(name));
  const Size size{outputs, inputs, inputs / group};
  absl::StatusOr<QuantizedMatrix> m = config.format == Format::kCompressedTensors
                                          ? ReadCompressedTensors(reader, config, size)
                                      : config.format == Format::kAwq ? ReadAwq(reader, config, size)
                                                                      : ReadGptq(reader, config, size);
  RETURN_IF_ERROR(m.status());
  RETURN_IF_ERROR(ShortenGroups(name, *m));
  return m;
}

QuantizedMatrix StackQuantized(std::vector<QuantizedMatrix> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  QuantizedMatrix whole{.bits = parts.front().bits};
  std::vector<at::Tensor> codes;
  std::vector<at::Tensor> scales;
  std::vector<at::Tensor> zeros;
  bool has_zeros = false;
  for (const QuantizedMatrix& part : parts) has_zeros |= part.zeros.defined();
  for (const QuantizedMatrix& part : parts) {
    codes.push_back(part.codes);
    scales.push_back(part.scales);
    if (has_zeros) {
      zeros.push_back(part.zeros.defined() ? part.zeros
                                           : at::full(part.scales.sizes(), 1 << (part.bits - 1), at::kByte));
    }
  }
  whole.codes = at::cat(codes);
  whole.scales = at::cat(scales);
  if (has_zeros) whole.zeros = at::cat(zeros);
  return whole;
}

}  // namespace varserve::model
