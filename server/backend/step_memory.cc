#include "server/backend/step_memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace varserve::backend {
namespace {

constexpr int64_t kAlignment = 256;  // as CUDA's allocations

int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t SizeOf(const at::Tensor& buffer) { return buffer.defined() ? buffer.size(0) : 0; }

at::Tensor Part(const at::Tensor& buffer, int64_t begin, int64_t bytes, at::ScalarType type,
                at::IntArrayRef shape) {
  return buffer.narrow(0, begin, bytes).view(type).view(shape);
}

}  // namespace

void StepMemory::Begin() {
  if (fixed_ && taken_ > SizeOf(values_)) {
    // With room for steps that are a little larger still: recorded steps end with the old place.
    const int64_t size = std::max(taken_, SizeOf(values_) * 3 / 2);
    values_ = at::Tensor();  // freed first
    values_ = at::empty({size}, at::TensorOptions().dtype(at::kByte).device(device_));
    ++layout_;
  }
  tables_.clear();
  tables_size_ = 0;
  taken_ = 0;
}

void StepMemory::AddTable(const void* values, int64_t bytes, at::ScalarType type, at::IntArrayRef shape,
                          at::Tensor& place) {
  const int64_t end = tables_size_ + Aligned(bytes);
  if (SizeOf(host_tables_) < end) {
    const auto options = at::TensorOptions().dtype(at::kByte).pinned_memory(!device_.is_cpu());
    at::Tensor larger = at::empty({std::max(end, 2 * SizeOf(host_tables_))}, options);
    if (tables_size_ > 0) larger.narrow(0, 0, tables_size_).copy_(host_tables_.narrow(0, 0, tables_size_));
    host_tables_ = std::move(larger);
  }
  if (bytes > 0) std::memcpy(host_tables_.mutable_data_ptr<uint8_t>() + tables_size_, values, bytes);
  tables_.push_back({tables_size_, bytes, type, shape.vec(), &place});
  tables_size_ = end;
}

void StepMemory::Send() {
  if (SizeOf(tables_buffer_) < SizeOf(host_tables_)) {
    tables_buffer_ = device_.is_cpu() ? host_tables_
                                      : at::empty({SizeOf(host_tables_)},
                                                  at::TensorOptions().dtype(at::kByte).device(device_));
    ++layout_;
  }
  if (!device_.is_cpu() && tables_size_ > 0) {
    tables_buffer_.narrow(0, 0, tables_size_)
        .copy_(host_tables_.narrow(0, 0, tables_size_), /*non_blocking=*/true);
  }
  for (const Table& table : tables_)
    *table.place = Part(tables_buffer_, table.begin, table.size, table.type, table.shape);
}

at::Tensor StepMemory::Take(at::IntArrayRef shape, at::ScalarType type) {
  const int64_t bytes = c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(type));
  const int64_t begin = taken_;
  taken_ += Aligned(bytes);
  if (!fixed_ || bytes == 0 || taken_ > SizeOf(values_))
    return at::empty(shape, at::TensorOptions().dtype(type).device(device_));
  return Part(values_, begin, bytes, type, shape);
}

std::optional<int64_t> StepMemory::layout() const {
  if (!fixed_ || taken_ > SizeOf(values_)) return std::nullopt;
  return layout_;
}

}  // namespace varserve::backend
