// Graphs of the far device (far_device.h): they repeat what was enqueued, on the same memory, but nothing
// that the host did meanwhile.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "server/backend/graph_recorder.h"

namespace varserve::testing {

// A tensor that enqueued work uses. It does not keep the device's memory: neither does a GPU's graph.
class Place {
 public:
  explicit Place(const at::Tensor& t);
  // Throw c10::Error if the memory was freed.
  c10::Storage storage() const;
  at::Tensor tensor() const;
  int64_t byte_offset() const { return offset_ * static_cast<int64_t>(type_.itemsize()); }

 private:
  at::Tensor kept_;  // of the host, or without elements
  c10::weak_intrusive_ptr<c10::StorageImpl> storage_;
  c10::DispatchKeySet keys_;
  caffe2::TypeMeta type_;
  std::vector<int64_t> sizes_;
  std::vector<int64_t> strides_;
  int64_t offset_;
};

// Does the work at once, or adds it to the graph that this thread is recording.
void Enqueue(std::function<void()> work);
bool IsRecording();
// Throws c10::Error if this thread is recording or launching a graph, which cannot do `what`.
void RefuseInGraph(const char* what);
std::unique_ptr<const backend::GraphRecorder> MakeFarRecorder();

}  // namespace varserve::testing
