// The activation functions of vision towers' MLPs (transformers: ACT2FN).
#pragma once

#include <ATen/core/Tensor.h>

#include "server/model/vision_config.h"

namespace varserve::model {

// Element by element, in x's dtype.
at::Tensor Activated(Activation activation, const at::Tensor& x);

}  // namespace varserve::model
