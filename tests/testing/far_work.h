// What the far device (far_device.cc) is asked to do: its memory, the copies under way, and recorded graphs.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "server/backend/graph_recorder.h"

namespace varserve::testing {

inline constexpr c10::DeviceType kFar = c10::DeviceType::PrivateUse1;

// No address of a process has this bit; those of the far device do.
inline constexpr uintptr_t kFarBit = uintptr_t{1} << 62;

// The host's address of memory of either device.
inline void* Near(const void* memory) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(memory) & ~kFarBit);
}
// The same values as a tensor of the host.
at::Tensor Near(const at::Tensor& t);

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
// Throws c10::Error if this thread is recording a graph, which could not repeat `what`.
void RefuseInGraph(const char* what);
// Whether it is memory that the device copies from by itself.
bool IsPinned(const at::Tensor& t);

// Graphs of everything that is enqueued, on the far device's streams.
std::unique_ptr<const backend::GraphRecorder> MakeFarRecorder();

// This thread's stream.
c10::StreamId CurrentStream();
// Returns the one before.
c10::StreamId SetCurrentStream(c10::StreamId stream);
c10::StreamId NewStream();

// Copies that the host does not wait for. The worst is assumed that a GPU may do: results arrive at the last
// moment, and sources are read then.
class CopiesUnderWay {
 public:
  // near: the device's values, `to` of the host; without them until the copy is finished.
  static void ToHost(const at::Tensor& near, const at::Tensor& to);
  // from: pinned memory, which must keep its values until the copy is finished.
  static void ToDevice(const at::Tensor& from);
  // A mark of the copies so far.
  static int64_t Mark();
  // Ends copies of the stream, those before the mark. Throws c10::Error if a source has changed.
  static void Finish(c10::StreamId stream, int64_t mark);
};

}  // namespace varserve::testing
