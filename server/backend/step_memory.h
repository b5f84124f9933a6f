// A step's memory on the device: tables that come from the host in one copy, and room for intermediate values
// and results. Where graphs are captured, steps of the same shapes get the same addresses.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace varserve::backend {

// Thread-compatible. The step that used the previous content must have ended on the device.
class StepMemory {
 public:
  // `fixed`: whether addresses have to repeat.
  StepMemory(at::Device device, bool fixed) : device_(device), fixed_(fixed) {}

  // Forgets the previous step. Its tensors must not be used any more.
  void Begin();

  // Adds a table. Copies `values`; sets `place` in Send.
  template <typename T>
  void Upload(absl::Span<const T> values, at::ScalarType type, at::IntArrayRef shape, at::Tensor& place) {
    AddTable(values.data(), static_cast<int64_t>(values.size() * sizeof(T)), type, shape, place);
  }
  // Copies the tables to the device. Does not synchronize with the host.
  void Send();

  // A tensor on the device, not initialized.
  at::Tensor Take(at::IntArrayRef shape, at::ScalarType type);

  // Equal for two steps if tensors taken in the same order with the same shapes are in the same places.
  // Nothing if this step's places will not repeat. Constant after the last Take.
  std::optional<int64_t> layout() const;

 private:
  struct Table {
    int64_t begin;  // bytes
    int64_t size;
    at::ScalarType type;
    std::vector<int64_t> shape;
    at::Tensor* place;
  };
  void AddTable(const void* values, int64_t bytes, at::ScalarType type, at::IntArrayRef shape,
                at::Tensor& place);

  const at::Device device_;
  const bool fixed_;
  int64_t layout_ = 0;
  std::vector<Table> tables_;
  int64_t tables_size_ = 0;  // bytes
  at::Tensor host_tables_;   // bytes; pinned if the device is not the CPU
  at::Tensor tables_buffer_;
  int64_t taken_ = 0;  // bytes this step has needed
  at::Tensor values_;  // bytes; tensors are taken from it if `fixed_`
};

}  // namespace varserve::backend
