#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <vector>

#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/storage_type.h"
#include "server/backend/cpu/weight_panels.h"
#include "server/backend/cpu/window_attention.h"

namespace varserve::backend {
namespace {

using cpu::GetCpuKernels;
using cpu::PanelShape;

// Size of a linear layer's piece for a thread: outputs by rows. A piece's rows share its weights, so pieces
// have many rows and few outputs; half as many outputs if threads would get few and therefore unequal numbers
// of them.
constexpr int64_t kOutputs = 96;
constexpr int64_t kPiecesOfThread = 4;
constexpr int64_t kMostRows = 256;
constexpr int64_t kFewRows = 16;
constexpr int64_t kFewOutputs = 16;

class CpuLayerOps : public LayerOps {
 public:
  at::ScalarType ActivationDtype(at::ScalarType /*serving*/) const override { return at::kFloat; }
  at::ScalarType SinkIndexDtype() const override { return at::kInt; }
  bool host_reads_logits() const override { return true; }

  LinearWeights Prepare(at::Tensor weight, at::Tensor bias) const override {
    if (!weight.defined()) return {};
    if (Packs(weight.scalar_type())) return Pack(weight, std::move(bias));
    return {.weight = weight, .bias = std::move(bias), .outputs = weight.size(0), .inputs = weight.size(1)};
  }

  bool Packs(at::ScalarType dtype) const override {
    return GetCpuKernels().reads_panels && dtype == at::kBFloat16;
  }
  LinearWeights Pack(at::TensorList parts, at::Tensor bias) const override {
    std::vector<const uint16_t*> rows;
    for (const at::Tensor& part : parts) {
      const auto* from = static_cast<const uint16_t*>(part.const_data_ptr());
      const std::vector<const uint16_t*> own = cpu::RowPointers(from, part.size(0), part.size(1));
      rows.insert(rows.end(), own.begin(), own.end());
    }
    LinearWeights packed{.bias = std::move(bias),
                         .outputs = static_cast<int64_t>(rows.size()),
                         .inputs = parts.front().size(1)};
    const PanelShape shape = ShapeOf(packed);
    packed.weight = at::empty({shape.panels(), shape.panel_size()}, parts.front().options());
    auto* to = static_cast<uint16_t*>(packed.weight.mutable_data_ptr());
    at::parallel_for(0, shape.panels(), 1, [&](int64_t begin, int64_t end) {
      cpu::PackPanels(shape, rows, static_cast<int>(begin), static_cast<int>(end), to);
    });
    return packed;
  }

  LinearWeights Prepare(const QuantizedMatrix& m, at::Tensor bias,
                        const at::TensorOptions& /*options*/) const override {
    LinearWeights prepared{
        .bias = std::move(bias), .bits = m.bits, .outputs = m.outputs(), .inputs = m.inputs()};
    const cpu::QuantizedShape shape = ShapeOf(m);
    prepared.weight = at::empty({shape.bytes()}, at::kByte);
    prepared.scales = at::empty({shape.panels(), shape.groups(), cpu::kPanelOutputs}, at::kFloat);
    if (m.zeros.defined()) prepared.zeros = at::empty(prepared.scales.sizes(), at::kByte);
    const auto zeros = [](const at::Tensor& t) {
      return t.defined() ? t.mutable_data_ptr<uint8_t>() : nullptr;
    };
    at::parallel_for(0, shape.panels(), 1, [&](int64_t begin, int64_t end) {
      cpu::PackQuantizedPanels(shape, m.codes.const_data_ptr<uint8_t>(), m.scales.const_data_ptr<float>(),
                               zeros(m.zeros), static_cast<int>(begin), static_cast<int>(end),
                               prepared.weight.mutable_data_ptr<uint8_t>(),
                               prepared.scales.mutable_data_ptr<float>(), zeros(prepared.zeros));
    });
    return prepared;
  }

  void Embedding(const at::Tensor& ids, const LinearWeights& table, at::Tensor& out) const override {
    const bool quantized = table.bits > 0;
    if (!quantized && !Packs(table.weight.scalar_type())) {
      out.copy_(table.weight.index_select(0, ids));
      return;
    }
    const int64_t* id = ids.const_data_ptr<int64_t>();
    float* row = out.mutable_data_ptr<float>();
    for (int64_t i = 0; i < ids.size(0); ++i, row += table.inputs) {
      TORCH_CHECK(id[i] >= 0 && id[i] < table.outputs, "token ", id[i], " is not among the ", table.outputs,
                  " there are");
      if (quantized) {
        cpu::ReadQuantizedRow(WeightsOf(table), static_cast<int>(id[i]), row);
      } else {
        cpu::ReadPanelRow(ShapeOf(table), static_cast<const uint16_t*>(table.weight.const_data_ptr()),
                          static_cast<int>(id[i]), row);
      }
    }
  }

  void Linear(const at::Tensor& x, const LinearWeights& w, at::Tensor& out) const override {
    Run(x, w, out, /*accumulate=*/false);
  }
  void LinearAdd(const at::Tensor& x, const LinearWeights& w, at::Tensor& y) const override {
    Run(x, w, y, /*accumulate=*/true);
  }

  void RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) const override {
    Norm(NormArgs(x, weight, eps, out), x.size(0));
  }
  void RmsNormAndSinks(const at::Tensor& x, const at::Tensor& weight, double eps, const SinkTarget& sinks,
                       const at::Tensor& slots, KvLayer& kv, at::Tensor& out) const override {
    cpu::RmsNormArgs args = NormArgs(x, weight, eps, out);
    args.sink_dimensions = sinks.dimensions.const_data_ptr<int32_t>();
    args.num_sink_dimensions = static_cast<int>(sinks.dimensions.numel());
    args.slots = slots.const_data_ptr<int64_t>();
    args.phi = kv.phi.mutable_data_ptr<float>();
    args.phi_plane_stride = kv.phi.stride(0);
    args.phi_eps[0] = static_cast<float>(sinks.eps);
    args.phi_eps[1] = kAuthorsCodeEps;
    Norm(args, x.size(0));
  }

  void RopeAndStore(at::Tensor& qkv, int64_t heads, const HeadNorms& norms, const Rotary& rotary,
                    const at::Tensor& slots, KvLayer& kv) const override {
    if (norms.q.defined()) NormHeads(qkv, heads, kv, norms);
    const cpu::RopeStoreArgs args{.qkv = qkv.mutable_data_ptr<float>(),
                                  .cos = rotary.cos.const_data_ptr<float>(),
                                  .sin = rotary.sin.const_data_ptr<float>(),
                                  .slots = slots.const_data_ptr<int64_t>(),
                                  .k_pool = kv.k.mutable_data_ptr(),
                                  .v_pool = kv.v.mutable_data_ptr(),
                                  .kv_type = StorageTypeOf(kv.k),
                                  .heads = static_cast<int>(heads),
                                  .kv_heads = static_cast<int>(kv.kv_heads()),
                                  .head_dim = static_cast<int>(kv.head_dim()),
                                  .block_size = static_cast<int>(kv.block_size())};
    at::parallel_for(0, qkv.size(0), 4, [&](int64_t begin, int64_t end) {
      GetCpuKernels().rope_store(args, static_cast<int>(begin), static_cast<int>(end));
    });
  }

  void SiluMul(const at::Tensor& gate_up, at::Tensor& out) const override {
    const cpu::SiluMulArgs args{.x = gate_up.const_data_ptr<float>(),
                                .y = out.mutable_data_ptr<float>(),
                                .width = static_cast<int>(out.size(1))};
    at::parallel_for(0, out.size(0), 4, [&](int64_t begin, int64_t end) {
      GetCpuKernels().silu_mul(args, static_cast<int>(begin), static_cast<int>(end));
    });
  }

  void AttendWindows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::ScalarType weights,
                     at::Tensor& out) const override {
    if (!Packs(weights)) return LayerOps::AttendWindows(q, k, v, weights, out);
    cpu::AttendWindows(q, k, v, out);
  }

 private:
  static PanelShape ShapeOf(const LinearWeights& w) {
    return {static_cast<int>(w.outputs), static_cast<int>(w.inputs)};
  }

  template <typename Matrix>
  static cpu::QuantizedShape ShapeOf(const Matrix& m, int64_t outputs, int64_t inputs) {
    return {.out = static_cast<int>(outputs),
            .in = static_cast<int>(inputs),
            .bits = m.bits,
            .group = static_cast<int>(inputs / m.scales.size(1))};
  }
  static cpu::QuantizedShape ShapeOf(const QuantizedMatrix& m) { return ShapeOf(m, m.outputs(), m.inputs()); }
  static cpu::QuantizedWeights WeightsOf(const LinearWeights& w) {
    return {.shape = ShapeOf(w, w.outputs, w.inputs),
            .codes = w.weight.const_data_ptr<uint8_t>(),
            .scales = w.scales.const_data_ptr<float>(),
            .zeros = w.zeros.defined() ? w.zeros.const_data_ptr<uint8_t>() : nullptr};
  }

  // Inputs as kernels for bfloat16 or quantized weights take them. => [rows, packed_inputs(in)]
  static at::Tensor PackInputs(const at::Tensor& x, const LinearWeights& w) {
    const auto in = static_cast<int>(x.size(1));
    at::Tensor packed = at::empty({x.size(0), GetCpuKernels().packed_inputs(in)}, x.options());
    const cpu::CpuKernels& kernels = GetCpuKernels();
    const auto pack = [&](const float* from, float* to) {
      if (w.bits == 0) return kernels.pack_inputs(from, in, to);
      kernels.pack_groups(from, ShapeOf(w, w.outputs, w.inputs), to);
    };
    const float* from = x.const_data_ptr<float>();
    float* to = packed.mutable_data_ptr<float>();
    at::parallel_for(0, x.size(0), 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) pack(from + r * x.stride(0), to + r * packed.size(1));
    });
    return packed;
  }

  static int64_t RowPieces(int64_t rows) { return (rows + kMostRows - 1) / kMostRows; }

  // Calls kernel(row_begin, row_end, out_begin, out_end) on all threads, until it has seen all rows and
  // outputs. Ranges of outputs begin at multiples of `outputs_each`.
  template <typename Kernel>
  static void ForPieces(int64_t rows, int64_t outputs, int64_t outputs_each, const Kernel& kernel) {
    if (rows == 0) return;
    // Equal pieces, since each thread gets the same number; whole tiles of rows.
    const int64_t most_pieces = RowPieces(rows);
    const int64_t rows_each = ((rows + most_pieces - 1) / most_pieces + 3) / 4 * 4;
    const int64_t row_pieces = (rows + rows_each - 1) / rows_each;
    const int64_t output_pieces = (outputs + outputs_each - 1) / outputs_each;
    // If a thread's consecutive pieces have the same rows, the kernel gets them as one range of outputs.
    at::parallel_for(0, row_pieces * output_pieces, 1, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t row_piece = begin / output_pieces;
        const int64_t until = std::min(end, (row_piece + 1) * output_pieces);
        kernel(static_cast<int>(row_piece * rows_each),
               static_cast<int>(std::min(rows, (row_piece + 1) * rows_each)),
               static_cast<int>((begin - row_piece * output_pieces) * outputs_each),
               static_cast<int>(std::min(outputs, (until - row_piece * output_pieces) * outputs_each)));
        begin = until;
      }
    });
  }

  static int64_t OutputsEach(int64_t rows, int64_t outputs) {
    if (rows <= kFewRows) return kFewOutputs;
    const int64_t pieces = outputs / kOutputs * RowPieces(rows);
    return pieces < kPiecesOfThread * at::get_num_threads() ? kOutputs / 2 : kOutputs;
  }

  static void Run(const at::Tensor& x, const LinearWeights& w, at::Tensor& y, bool accumulate) {
    const bool quantized = w.bits > 0;
    const bool packs = quantized || w.weight.scalar_type() == at::kBFloat16;
    const at::Tensor inputs = packs ? PackInputs(x, w) : x;
    const float* bias = w.bias.defined() ? w.bias.const_data_ptr<float>() : nullptr;
    if (quantized) {
      const cpu::QuantizedLinearArgs args{.x = inputs.const_data_ptr<float>(),
                                          .w = WeightsOf(w),
                                          .bias = bias,
                                          .y = y.mutable_data_ptr<float>(),
                                          .x_stride = inputs.stride(0),
                                          .y_stride = y.stride(0),
                                          .accumulate = accumulate};
      ForPieces(x.size(0), args.w.shape.panels(), 1, [&](int row_begin, int row_end, int begin, int end) {
        GetCpuKernels().linear_quantized(args, row_begin, row_end, begin, end);
      });
      return;
    }
    const cpu::LinearArgs args{.x = inputs.const_data_ptr<float>(),
                               .w = w.weight.const_data_ptr(),
                               .bias = bias,
                               .y = y.mutable_data_ptr<float>(),
                               .x_stride = inputs.stride(0),
                               .y_stride = y.stride(0),
                               .rows = static_cast<int>(x.size(0)),
                               .in = static_cast<int>(x.size(1)),
                               .out = static_cast<int>(w.outputs),
                               .w_type = StorageTypeOf(w.weight),
                               .accumulate = accumulate};
    ForPieces(x.size(0), w.outputs, OutputsEach(x.size(0), w.outputs),
              [&](int row_begin, int row_end, int begin, int end) {
                GetCpuKernels().linear(args, row_begin, row_end, begin, end);
              });
  }

  static void NormHeads(at::Tensor& qkv, int64_t heads, const KvLayer& kv, const HeadNorms& norms) {
    const auto norm = [&](float* row, const at::Tensor& weight, int64_t count) {
      GetCpuKernels().rms_norm({.x = row,
                                .weight = weight.const_data_ptr<float>(),
                                .y = row,
                                .width = static_cast<int>(kv.head_dim()),
                                .eps = static_cast<float>(norms.eps)},
                               0, static_cast<int>(count));
    };
    auto* rows = qkv.mutable_data_ptr<float>();
    at::parallel_for(0, qkv.size(0), 4, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        float* const row = rows + n * qkv.size(1);
        norm(row, norms.q, heads);
        norm(row + heads * kv.head_dim(), norms.k, kv.kv_heads());
      }
    });
  }
  static cpu::RmsNormArgs NormArgs(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y) {
    return {.x = x.const_data_ptr<float>(),
            .weight = weight.const_data_ptr<float>(),
            .y = y.mutable_data_ptr<float>(),
            .width = static_cast<int>(x.size(1)),
            .eps = static_cast<float>(eps)};
  }
  static void Norm(const cpu::RmsNormArgs& args, int64_t rows) {
    at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
      GetCpuKernels().rms_norm(args, static_cast<int>(begin), static_cast<int>(end));
    });
  }
};

}  // namespace

std::unique_ptr<LayerOps> MakeCpuLayerOps() { return std::make_unique<CpuLayerOps>(); }

}  // namespace varserve::backend
