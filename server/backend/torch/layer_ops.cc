#include <ATen/ATen.h>

#include "server/backend/torch/sink_measure.h"
#include "server/backend/torch/torch_backend.h"

namespace varserve::backend {
namespace {

class TorchLayerOps : public LayerOps {
 public:
  at::ScalarType ActivationDtype(at::ScalarType serving) const override { return serving; }
  at::ScalarType SinkIndexDtype() const override { return at::kLong; }

  using LayerOps::Prepare;
  LinearWeights Prepare(at::Tensor weight, at::Tensor bias) const override {
    if (!weight.defined()) return {};
    return {.weight = weight,
            .bias = bias.defined() ? bias.to(weight.scalar_type()) : bias,
            .outputs = weight.size(0),
            .inputs = weight.size(1)};
  }
  void Embedding(const at::Tensor& ids, const LinearWeights& table, at::Tensor& out) const override {
    at::index_select_out(out, table.weight, 0, ids);
  }

  void Linear(const at::Tensor& x, const LinearWeights& w, at::Tensor& out) const override {
    if (!w.bias.defined()) {
      at::mm_out(out, x, w.weight.t());
    } else {
      at::addmm_out(out, w.bias, x, w.weight.t());
    }
  }
  void LinearAdd(const at::Tensor& x, const LinearWeights& w, at::Tensor& y) const override {
    y.add_(LayerOps::Linear(x, w));
  }

  void RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) const override {
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor scale = wide.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
    out.copy_(wide.mul(scale).mul_(weight));
  }
  void RmsNormAndSinks(const at::Tensor& x, const at::Tensor& weight, double eps, const SinkTarget& sinks,
                       const at::Tensor& slots, KvLayer& kv, at::Tensor& out) const override {
    kv.phi.index_copy_(1, slots, SinkMeasure(x, sinks.dimensions, sinks.eps, kAuthorsCodeEps));
    RmsNorm(x, weight, eps, out);
  }

  void RopeAndStore(at::Tensor& qkv, int64_t heads, const HeadNorms& norms, const Rotary& rotary,
                    const at::Tensor& slots, KvLayer& kv) const override {
    const int64_t kv_heads = kv.kv_heads();
    const int64_t head_dim = kv.head_dim();
    at::Tensor rows = qkv.view({qkv.size(0), heads + 2 * kv_heads, head_dim});
    at::Tensor rotated = rows.narrow(1, 0, heads + kv_heads);  // q and k
    if (norms.q.defined()) {
      at::Tensor q = rows.narrow(1, 0, heads);
      at::Tensor k = rows.narrow(1, heads, kv_heads);
      RmsNorm(q, norms.q, norms.eps, q);
      RmsNorm(k, norms.k, norms.eps, k);
    }
    const at::Tensor first = rotated.narrow(2, 0, head_dim / 2).to(at::kFloat);
    const at::Tensor second = rotated.narrow(2, head_dim / 2, head_dim / 2).to(at::kFloat);
    const at::Tensor cos = rotary.cos.unsqueeze(1);  // [N, 1, D / 2]
    const at::Tensor sin = rotary.sin.unsqueeze(1);
    rotated.copy_(at::cat({first * cos - second * sin, second * cos + first * sin}, -1));

    const at::Tensor block = slots.div(kv.block_size(), "floor");
    const at::Tensor offset = slots - block * kv.block_size();
    const auto store = [&](at::Tensor pool, const at::Tensor& values) {  // values: [N, Hkv, D]
      pool.transpose(1, 2).index_put_({block, offset}, values.to(pool.scalar_type()));
    };
    store(kv.k, rows.narrow(1, heads, kv_heads));
    store(kv.v, rows.narrow(1, heads + kv_heads, kv_heads));
  }

  void SiluMul(const at::Tensor& gate_up, at::Tensor& out) const override {
    const auto parts = gate_up.chunk(2, -1);
    at::silu_out(out, parts[0]).mul_(parts[1]);
  }
};

}  // namespace

std::unique_ptr<LayerOps> MakeTorchLayerOps() { return std::make_unique<TorchLayerOps>(); }

}  // namespace varserve::backend
