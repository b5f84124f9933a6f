// Work on a device, recorded once and then launched as a whole.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"

namespace varserve::backend {

class Graph {
 public:
  virtual ~Graph() = default;
  // Enqueues the work on ATen's current stream, on the same tensors as it was recorded with. Throws
  // c10::Error.
  virtual void Launch() const = 0;
};

// Thread-compatible.
class GraphRecorder {
 public:
  virtual ~GraphRecorder() = default;
  // Calls `work` once, without running what it enqueues. `work` must have run before, must not wait for the
  // device, and must not allocate tensors; libraries' workspaces must stay where they are. Needs a current
  // stream other than the default one. INTERNAL with the driver's message.
  virtual absl::StatusOr<std::unique_ptr<const Graph>> Record(const std::function<void()>& work) const = 0;
};

}  // namespace varserve::backend
