// Kernels by name, and how they are launched. Written in kernels/*.py and compiled ahead of time.
#pragma once

#include <ATen/core/Tensor.h>

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/backend/graph_recorder.h"

namespace varserve::backend {

// An argument as a kernel takes it.
class KernelArg {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a launch reads like a call
  // The tensor must outlive the launch's call.
  KernelArg(const at::Tensor& t) : type_('p'), bits_(reinterpret_cast<uint64_t>(t.data_ptr())), tensor_(&t) {}
  KernelArg(int64_t value);  // an int32; throws c10::Error if it is not
  KernelArg(int value) : type_('i'), bits_(static_cast<uint32_t>(value)) {}
  KernelArg(float value) : type_('f'), bits_(std::bit_cast<uint32_t>(value)) {}
  // NOLINTEND(google-explicit-constructor)

  char type() const { return type_; }                   // as in KernelForm::arguments, in lower case
  const at::Tensor* tensor() const { return tensor_; }  // of a pointer
  const uint64_t& bits() const { return bits_; }        // little-endian: the value comes first

 private:
  char type_;
  uint64_t bits_;
  const at::Tensor* tensor_ = nullptr;
};

// One kernel compiled for one kind of GPU, as in kernels/manifest.json.
struct KernelForm {
  const char* name;
  int capability;         // compute capability, such as 90; of sm_80, that and everything newer
  const char* entry;      // the function's name in the module
  const char* arguments;  // one letter each: p pointer, i int32, f float; in upper case: a multiple of 16
  int threads;            // of a block
  int shared_bytes;       // dynamic shared memory of a block
  int lanes;              // the kernel's tile, see kernels/variants.py; 0 if it has none
  int slots;
  const char* ptx;
};

// All that are in the binary.
absl::Span<const KernelForm> EmbeddedKernels();

// Pieces of `size` that cover `count`.
inline int64_t CeilDiv(int64_t count, int64_t size) { return (count + size - 1) / size; }

struct Grid {
  int64_t x = 1;
  int64_t y = 1;
  int64_t z = 1;
};

// Thread-safe.
class Kernels {
 public:
  virtual ~Kernels() = default;

  // A kernel, ready to be launched. NOT_FOUND, or INTERNAL with the driver's message.
  virtual absl::StatusOr<const KernelForm*> Find(absl::string_view name) const = 0;
  // Enqueues it on ATen's current stream of the device; a grid with a 0 is nothing to do. Throws c10::Error.
  void Launch(const KernelForm& kernel, Grid grid, std::initializer_list<KernelArg> args) const;
  // Records launches and ATen's operators; null if that is not possible.
  virtual std::unique_ptr<const GraphRecorder> MakeRecorder() const = 0;

 protected:
  virtual void Enqueue(const KernelForm& kernel, Grid grid, absl::Span<const KernelArg> args) const = 0;
};

}  // namespace varserve::backend
