#include "server/backend/cuda/layer_ops.h"

#include <ATen/ATen.h>

#include <optional>
#include <utility>

#include "server/backend/cuda/quantized_linear.h"
#include "server/backend/leading_tokens.h"
#include "server/backend/torch/torch_backend.h"
#include "server/base/status_macros.h"

namespace varserve::backend {
namespace {

// The kernels are compiled for rows that begin at multiples of 16 values (kernels/variants.py).
bool Supports(int64_t width) { return width % 16 == 0; }

// Matrix products of several rows and rows of the embedding are LibTorch's, unless their weights are
// quantized.
class CudaLayerOps : public LayerOps {
 public:
  struct Forms {
    const KernelForm* rms_norm;
    const KernelForm* rope_and_store;
    const KernelForm* norm_rope_and_store;
    const KernelForm* multiply_row;
    const KernelForm* multiply_gated_row;
    const KernelForm* silu_mul;
    const KernelForm* largest;
    const KernelForm* leading_tokens;
  };
  CudaLayerOps(std::shared_ptr<const Kernels> kernels, Forms forms, std::optional<QuantizedLinear> quantized)
      : kernels_(std::move(kernels)),
        forms_(forms),
        quantized_(std::move(quantized)),
        torch_(MakeTorchLayerOps()) {}

  at::ScalarType ActivationDtype(at::ScalarType serving) const override { return serving; }
  at::ScalarType SinkIndexDtype() const override { return at::kInt; }

  using LayerOps::Prepare;
  LinearWeights Prepare(at::Tensor weight, at::Tensor bias) const override {
    return torch_->Prepare(std::move(weight), std::move(bias));
  }
  LinearWeights Prepare(const QuantizedMatrix& weights, at::Tensor bias,
                        const at::TensorOptions& options) const override {
    if (!quantized_.has_value() || !QuantizedLinear::Fits(weights))
      return LayerOps::Prepare(weights, std::move(bias), options);
    return QuantizedLinear::Prepare(weights, bias, options);
  }
  void Embedding(const at::Tensor& ids, const LinearWeights& table, at::Tensor& out) const override {
    if (table.bits > 0) return quantized_->LookUp(ids, table, out);
    torch_->Embedding(ids, table, out);
  }
  void Linear(const at::Tensor& x, const LinearWeights& w, at::Tensor& out) const override {
    if (w.bits > 0) return quantized_->Multiply(x, w, /*adds=*/false, out);
    if (IsRow(x, w)) return MultiplyRow(x, w, /*adds=*/false, out);
    torch_->Linear(x, w, out);
  }
  void LinearAdd(const at::Tensor& x, const LinearWeights& w, at::Tensor& y) const override {
    if (w.bits > 0) return quantized_->Multiply(x, w, /*adds=*/true, y);
    if (IsRow(x, w)) return MultiplyRow(x, w, /*adds=*/true, y);
    if (w.bias.defined()) return torch_->LinearAdd(x, w, y);
    y.addmm_(x, w.weight.t());  // cuBLAS adds
  }

  void RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) const override {
    Norm(x, weight, eps, {}, x, x, 0, out);
  }
  void RmsNormAndSinks(const at::Tensor& x, const at::Tensor& weight, double eps, const SinkTarget& sinks,
                       const at::Tensor& slots, KvLayer& kv, at::Tensor& out) const override {
    Norm(x, weight, eps, sinks.dimensions, slots, kv.phi, kv.phi.stride(0), out);
  }

  void RopeAndStore(at::Tensor& qkv, int64_t heads, const HeadNorms& norms, const Rotary& rotary,
                    const at::Tensor& slots, KvLayer& kv) const override {
    const int64_t kv_heads = kv.kv_heads();
    const bool has_norms = norms.q.defined();
    // Without norms, their weights are not read.
    kernels_->Launch(
        *(has_norms ? forms_.norm_rope_and_store : forms_.rope_and_store),
        {qkv.size(0), heads + 2 * kv_heads},
        {qkv, has_norms ? norms.q : rotary.cos, has_norms ? norms.k : rotary.cos, rotary.cos, rotary.sin,
         slots, kv.k, kv.v, heads, kv_heads, kv.head_dim(), static_cast<float>(norms.eps)});
  }

  void SiluMul(const at::Tensor& gate_up, at::Tensor& out) const override {
    const int64_t width = gate_up.size(1) / 2;
    if (!Supports(width)) return torch_->SiluMul(gate_up, out);  // Qwen2.5-VL's vision tower has 3420
    kernels_->Launch(*forms_.silu_mul, {gate_up.size(0), CeilDiv(width, forms_.silu_mul->slots)},
                     {gate_up, out, width});
  }

  void GatedLinear(const at::Tensor& x, const LinearWeights& w, at::Tensor& gate_up,
                   at::Tensor& out) const override {
    if (!IsRow(x, w) || w.bias.defined()) return LayerOps::GatedLinear(x, w, gate_up, out);
    const KernelForm& form = *forms_.multiply_gated_row;
    kernels_->Launch(form, {CeilDiv(w.outputs / 2, form.slots)}, {x, w.weight, out, w.inputs, w.outputs / 2});
  }

  void Largest(const at::Tensor& logits, at::Tensor& out) const override {
    kernels_->Launch(*forms_.largest, {logits.size(0)}, {logits, out, logits.size(1)});
  }
  void FindLeading(const at::Tensor& logits, const at::Tensor& largest, const at::Tensor& rows,
                   const at::Tensor& temperatures, at::Tensor& out) const override {
    const int64_t vocabulary = logits.size(1);
    const int64_t blocks = LeadingTokens::Blocks(vocabulary);
    if (blocks > forms_.leading_tokens->lanes)
      return LayerOps::FindLeading(logits, largest, rows, temperatures, out);
    const at::Tensor maxima = at::empty({rows.size(0), blocks}, logits.options());
    const at::Tensor kept = at::empty({rows.size(0), blocks}, rows.options().dtype(at::kInt));
    kernels_->Launch(*forms_.leading_tokens, {rows.size(0)},
                     {logits, largest, rows, temperatures, maxima, kept, out, vocabulary,
                      LeadingTokens::LeastOf(vocabulary), LeadingTokens::kRoom});
  }

 private:
  static bool IsRow(const at::Tensor& x, const LinearWeights& w) {
    return w.bits == 0 && x.size(0) == 1 && Supports(w.inputs) && w.weight.is_contiguous();
  }
  void MultiplyRow(const at::Tensor& x, const LinearWeights& w, bool adds, const at::Tensor& out) const {
    // Without a bias, it is not read.
    kernels_->Launch(*forms_.multiply_row, {CeilDiv(w.outputs, forms_.multiply_row->slots)},
                     {x, w.weight, w.bias.defined() ? w.bias : x, out, w.inputs, w.outputs,
                      w.bias.defined() ? 1 : 0, adds ? 1 : 0});
  }

  // Without dimensions, slots and phi are not used.
  void Norm(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& dimensions,
            const at::Tensor& slots, const at::Tensor& phi, int64_t phi_stride, at::Tensor& out) const {
    const int64_t width = x.size(1);
    TORCH_CHECK(Supports(width), "--backend cuda does not support a width of ", width,
                ", only multiples of 16");
    const int64_t count = dimensions.defined() ? dimensions.numel() : 0;
    TORCH_CHECK(count <= forms_.rms_norm->lanes, "at most ", forms_.rms_norm->lanes, " sink dimensions");
    kernels_->Launch(*forms_.rms_norm, {x.size(0)},
                     {x, weight, out, count > 0 ? dimensions : weight, slots, phi, width, count, phi_stride,
                      static_cast<float>(eps), kAuthorsCodeEps});
  }

  const std::shared_ptr<const Kernels> kernels_;
  const Forms forms_;
  const std::optional<QuantizedLinear> quantized_;
  const std::unique_ptr<const LayerOps> torch_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const LayerOps>> MakeCudaLayerOps(std::shared_ptr<const Kernels> kernels,
                                                                 const std::string& type, bool quantized) {
  CudaLayerOps::Forms forms{};
  ASSIGN_OR_RETURN(forms.rms_norm, kernels->Find("rms_norm_" + type));
  ASSIGN_OR_RETURN(forms.rope_and_store, kernels->Find("rope_and_store_" + type));
  ASSIGN_OR_RETURN(forms.norm_rope_and_store, kernels->Find("norm_rope_and_store_" + type));
  ASSIGN_OR_RETURN(forms.multiply_row, kernels->Find("multiply_row_" + type));
  ASSIGN_OR_RETURN(forms.multiply_gated_row, kernels->Find("multiply_gated_row_" + type));
  ASSIGN_OR_RETURN(forms.silu_mul, kernels->Find("silu_mul_" + type));
  ASSIGN_OR_RETURN(forms.largest, kernels->Find("largest"));
  ASSIGN_OR_RETURN(forms.leading_tokens, kernels->Find("leading_tokens"));
  std::optional<QuantizedLinear> linear;
  if (quantized) {
    ASSIGN_OR_RETURN(linear, QuantizedLinear::Find(kernels, type));
  }
  return std::make_unique<const CudaLayerOps>(std::move(kernels), forms, std::move(linear));
}

}  // namespace varserve::backend
