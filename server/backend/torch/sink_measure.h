// phi, the measure that makes a token a sink (docs/var.md, "Sinks"), with tensor operators.
#pragma once

#include <ATen/core/Tensor.h>

namespace varserve::backend {

// phi = max over the sink dimensions of |x| / sqrt(mean(x^2) + eps), for two epsilons.
//   x: [N, C]   sink_dimensions: [n > 0] int64 on x's device   => [2, N] float
at::Tensor SinkMeasure(const at::Tensor& x, const at::Tensor& sink_dimensions, double eps0, double eps1);

}  // namespace varserve::backend
