#include "server/backend/cuda/layer_ops.h"

#include <ATen/ATen.h>

#include <utility>

#include "server/backend/torch/torch_backend.h"
#include "server/base/status_macros.h"

namespace varserve::backend {
namespace {

// The kernels are compiled for rows that begin at multiples of 16 values (kernels/variants.py).
void CheckWidth(int64_t width) {
  TORCH_CHECK(width % 16 == 0, "--backend cuda does not support a width of ", width,
              ", only multiples of 16");
}

// Matrix products and rows of the embedding are LibTorch's.
class CudaLayerOps : public LayerOps {
 public:
  struct Forms {
    const KernelForm* rms_norm;
    const KernelForm* rope_and_store;
    const KernelForm* silu_mul;
  };
  CudaLayerOps(std::shared_ptr<const Kernels> kernels, Forms forms)
      : kernels_(std::move(kernels)), forms_(forms), torch_(MakeTorchLayerOps()) {}

  at::ScalarType ActivationDtype(at::ScalarType serving) const override { return serving; }
  at::ScalarType SinkIndexDtype() const override { return at::kInt; }

  LinearWeights Prepare(at::Tensor weight, at::Tensor bias) const override {
    return torch_->Prepare(std::move(weight), std::move(bias));
  }
  at::Tensor Embedding(const at::Tensor& ids, const LinearWeights& table) const override {
    return torch_->Embedding(ids, table);
  }
  at::Tensor Linear(const at::Tensor& x, const LinearWeights& w) const override {
    return torch_->Linear(x, w);
  }
  void LinearAdd(const at::Tensor& x, const LinearWeights& w, at::Tensor& y) const override {
    if (w.bias.defined() || x.dim() != 2) return torch_->LinearAdd(x, w, y);
    y.addmm_(x, w.weight.t());  // cuBLAS adds
  }

  at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) const override {
    return Norm(x, weight, eps, {}, x, x, 0);
  }
  at::Tensor RmsNormAndSinks(const at::Tensor& x, const at::Tensor& weight, double eps,
                             const SinkTarget& sinks, const at::Tensor& slots, KvLayer& kv) const override {
    return Norm(x, weight, eps, sinks.dimensions, slots, kv.phi, kv.phi.stride(0));
  }

  void RopeAndStore(at::Tensor& qkv, int64_t heads, const Rotary& rotary, const at::Tensor& slots,
                    KvLayer& kv) const override {
    const int64_t kv_heads = kv.kv_heads();
    kernels_->Launch(*forms_.rope_and_store, {qkv.size(0), heads + 2 * kv_heads},
                     {qkv, rotary.cos, rotary.sin, slots, kv.k, kv.v, heads, kv_heads, kv.head_dim()});
  }

  at::Tensor SiluMul(const at::Tensor& gate_up) const override {
    const int64_t width = gate_up.size(1) / 2;
    CheckWidth(width);
    at::Tensor out = at::empty({gate_up.size(0), width}, gate_up.options());
    kernels_->Launch(*forms_.silu_mul, {gate_up.size(0), CeilDiv(width, forms_.silu_mul->slots)},
                     {gate_up, out, width});
    return out;
  }

 private:
  // Without dimensions, slots and phi are not used.
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& dimensions,
                  const at::Tensor& slots, const at::Tensor& phi, int64_t phi_stride) const {
    const at::Tensor rows = x.contiguous();
    at::Tensor out = at::empty(rows.sizes(), rows.options());
    const int64_t width = rows.size(-1);
    CheckWidth(width);
    const int64_t count = dimensions.defined() ? dimensions.numel() : 0;
    TORCH_CHECK(count <= forms_.rms_norm->lanes, "at most ", forms_.rms_norm->lanes, " sink dimensions");
    kernels_->Launch(*forms_.rms_norm, {rows.numel() / width},
                     {rows, weight, out, count > 0 ? dimensions : weight, slots, phi, width, count,
                      phi_stride, static_cast<float>(eps), kAuthorsCodeEps});
    return out;
  }

  const std::shared_ptr<const Kernels> kernels_;
  const Forms forms_;
  const std::unique_ptr<const LayerOps> torch_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const LayerOps>> MakeCudaLayerOps(std::shared_ptr<const Kernels> kernels,
                                                                 const std::string& type) {
  CudaLayerOps::Forms forms{};
  ASSIGN_OR_RETURN(forms.rms_norm, kernels->Find("rms_norm_" + type));
  ASSIGN_OR_RETURN(forms.rope_and_store, kernels->Find("rope_and_store_" + type));
  ASSIGN_OR_RETURN(forms.silu_mul, kernels->Find("silu_mul_" + type));
  return std::make_unique<const CudaLayerOps>(std::move(kernels), forms);
}

}  // namespace varserve::backend
