#include "server/backend/torch/sink_measure.h"

#include <ATen/ATen.h>

namespace varserve::backend {

at::Tensor SinkMeasure(const at::Tensor& x, const at::Tensor& sink_dimensions, double eps0, double eps1) {
  const at::Tensor largest = x.index_select(1, sink_dimensions).to(at::kFloat).abs().amax(1);  // [N]
  const at::Tensor mean_square = x.to(at::kFloat).square().mean(1);                            // [N]
  return at::stack({largest / (mean_square + eps0).sqrt(), largest / (mean_square + eps1).sqrt()});
}

}  // namespace varserve::backend
