// A device for tests of GPU paths without a GPU: "far", where VARSERVE_TEST_DEVICE says so and the program
// links or preloads this library. It is unforgiving, as a GPU is: its memory lies at addresses that the host
// cannot read, new memory is NaN, its operators refuse tensors of the host, nothing is done before it was
// waited for (far_memory.h), and graphs repeat no work of the host (far_graph.h).
#pragma once

#include <ATen/core/Tensor.h>

namespace varserve::testing {

// Whether it is memory of the host that the device copies from by itself.
bool IsPinned(const at::Tensor& t);

}  // namespace varserve::testing
