// A backend: all operations of decoder layers and the vision tower, for one kind of device. The model is
// written once, against these two interfaces. All backends compute the same numbers up to rounding. Each is a
// folder next to this file, and they are chosen in table/.
#pragma once

#include <memory>
#include <utility>

#include "server/backend/attention.h"
#include "server/backend/graph_recorder.h"
#include "server/backend/layer_ops.h"

namespace varserve::backend {

// Const after construction; thread-compatible.
class Backend {
 public:
  Backend(std::unique_ptr<const LayerOps> ops, std::unique_ptr<const Attention> attention,
          std::unique_ptr<const GraphRecorder> graphs = nullptr)
      : ops_(std::move(ops)), attention_(std::move(attention)), graphs_(std::move(graphs)) {}

  const LayerOps& ops() const { return *ops_; }
  const Attention& attention() const { return *attention_; }
  // Null if this backend's steps cannot be recorded.
  const GraphRecorder* graphs() const { return graphs_.get(); }

 private:
  std::unique_ptr<const LayerOps> ops_;
  std::unique_ptr<const Attention> attention_;
  std::unique_ptr<const GraphRecorder> graphs_;
};

}  // namespace varserve::backend
