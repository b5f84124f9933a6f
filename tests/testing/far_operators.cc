// The far device's operators (far_device.h): those of LibTorch for CPUs, on the same memory.
#include <ATen/EmptyTensor.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/testing/far_device.h"
#include "tests/testing/far_graph.h"
#include "tests/testing/far_memory.h"

namespace varserve::testing {
namespace {

using torch::jit::Stack;

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

at::Tensor Empty(at::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/,
                 std::optional<bool> /*pinned*/, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, c10::GetAllocator(kFar), kKeys, c10::dtype_or_default(type), format);
}

at::Tensor EmptyStrided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                        std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/,
                        std::optional<bool> /*pinned*/) {
  return at::detail::empty_strided_generic(size, stride, c10::GetAllocator(kFar), kKeys,
                                           c10::dtype_or_default(type));
}

at::Tensor CopyFrom(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (!from.is_cpu() && !to.is_cpu()) {
    Enqueue([from = Place(from), to = Place(to)] {
      OnUsed(from.tensor(), /*writes=*/false);
      OnUsed(to.tensor(), /*writes=*/true);
      Near(to.tensor()).copy_(Near(from.tensor()));
    });
    return to;
  }
  RefuseInGraph("a copy between host and device");
  OnUsed(from, /*writes=*/false);
  OnUsed(to, /*writes=*/true);
  if (non_blocking && to.is_cpu()) {
    CopyToHostLater(Near(from), to);
  } else if (non_blocking && IsPinned(from)) {
    CopyToDeviceLater(from, Near(to));
  } else {
    Near(to).copy_(Near(from));
  }
  if (!non_blocking) WaitFor(CurrentStream());
  return to;
}

at::Scalar ReadScalar(const at::Tensor& t) {
  RefuseInGraph("reading a value");
  OnUsed(t, /*writes=*/false);
  WaitFor(CurrentStream());
  return Near(t).item();
}

// Calls `change` for each tensor in a value, in lists too, and returns the value of its results.
template <typename Change>
c10::IValue ForTensors(const c10::IValue& value, const Change& change) {
  if (value.isTensor()) return value.toTensor().defined() ? change(value.toTensor()) : value.toTensor();
  if (value.isTensorList()) {
    std::vector<at::Tensor> tensors = value.toTensorVector();
    for (at::Tensor& t : tensors) t = change(t);
    return tensors;
  }
  if (!value.isOptionalTensorList()) return value;
  c10::List<std::optional<at::Tensor>> tensors = value.toOptionalTensorList().copy();
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (const std::optional<at::Tensor> t = tensors.get(i); t.has_value() && t->defined())
      tensors.set(i, change(*t));
  }
  return tensors;
}

bool IsWritten(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

// The arguments that an operator returns; None where a result is a new tensor.
Stack ReturnedArguments(const c10::FunctionSchema& schema, const Stack& arguments) {
  Stack returned;
  for (const c10::Argument& result : schema.returns()) {
    c10::IValue& value = returned.emplace_back();
    TORCH_CHECK(result.alias_info() == nullptr || IsWritten(result), schema.name(), ": a view");
    for (size_t i = 0; i < arguments.size() && IsWritten(result); ++i) {
      if (IsWritten(schema.arguments()[i]) && *schema.arguments()[i].alias_info() == *result.alias_info())
        value = arguments[i];
    }
  }
  return returned;
}

// An output that is empty takes the result's shape; others must have it.
void TakeResult(const at::Tensor& near, const at::Tensor& to) {
  if (to.numel() > 0 || near.numel() == 0) {
    TORCH_CHECK(near.sizes() == to.sizes(), "an output of ", to.sizes(), " for a result of ", near.sizes());
    return;
  }
  to.storage().set_data_ptr_noswap(c10::GetAllocator(kFar)->allocate(near.nbytes()));
  to.storage().set_nbytes(near.nbytes());
  to.unsafeGetTensorImpl()->set_sizes_contiguous(near.sizes());
  Near(to).copy_(near);
}

void ComputeNow(const c10::OperatorHandle& op, Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const Stack arguments = *stack;
  for (size_t i = 0; i < arguments.size(); ++i) {
    ForTensors(arguments[i], [&](const at::Tensor& t) {
      OnUsed(t, IsWritten(schema.arguments()[i]));
      return t;
    });
  }
  for (c10::IValue& value : *stack) {
    value = value.isDevice() ? c10::IValue(at::Device(at::kCPU))
                             : ForTensors(value, [](const at::Tensor& t) { return Near(t); });
  }
  const Stack near = *stack;
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (IsWritten(schema.arguments()[i]) && near[i].isTensor())
      TakeResult(near[i].toTensor(), arguments[i].toTensor());
  }
  Stack results = ReturnedArguments(schema, arguments);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].isNone()) continue;
    results[i] = ForTensors((*stack)[i], [](const at::Tensor& t) {
      const at::Tensor far = EmptyStrided(t.sizes(), t.strides(), t.scalar_type(), {}, {}, {});
      OnUsed(far, /*writes=*/true);
      Near(far).copy_(t);
      return far;
    });
  }
  *stack = std::move(results);
}

// Refuses tensors of the host but single numbers, and indices: GPUs' operators take those.
void CheckDevices(const std::string& name, const Stack& arguments) {
  bool far = false;
  bool near = false;
  for (const c10::IValue& value : arguments) {
    ForTensors(value, [&](const at::Tensor& t) {
      far |= !t.is_cpu();
      near |= t.is_cpu() && t.dim() > 0 && !value.isOptionalTensorList();
      return t;
    });
  }
  TORCH_CHECK(!(far && near), name, ": tensors of the host and of the device");
}

// An argument in a graph.
using Kept = std::variant<c10::IValue, Place, std::vector<Place>>;

Kept Keep(const c10::IValue& value) {
  if (value.isTensor() && value.toTensor().defined()) return Place(value.toTensor());
  TORCH_CHECK(!value.isOptionalTensorList(), "lists of indices in a graph");
  if (!value.isTensorList()) return value;
  std::vector<Place> places;
  for (const at::Tensor& t : value.toTensorVector()) places.emplace_back(t);
  return places;
}

c10::IValue Restore(const Kept& kept) {
  if (const auto* place = std::get_if<Place>(&kept)) return place->tensor();
  if (const auto* value = std::get_if<c10::IValue>(&kept)) return *value;
  std::vector<at::Tensor> tensors;
  for (const Place& place : std::get<std::vector<Place>>(kept)) tensors.push_back(place.tensor());
  return tensors;
}

void Compute(const c10::OperatorHandle& op, Stack* stack) {
  const std::string& name = op.schema().name();
  CheckDevices(name, *stack);
  if (!IsRecording()) return ComputeNow(op, stack);
  std::vector<Kept> arguments;
  for (const c10::IValue& value : *stack) arguments.push_back(Keep(value));
  *stack = ReturnedArguments(op.schema(), *stack);
  for (const c10::IValue& result : *stack)
    TORCH_CHECK(!result.isNone(), name, " allocates its result in a graph");
  Enqueue([op, arguments = std::move(arguments)] {
    Stack restored;
    for (const Kept& argument : arguments) restored.push_back(Restore(argument));
    ComputeNow(op, &restored);
  });
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&Compute>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &Empty);
  m.impl("empty_strided", &EmptyStrided);
  m.impl("_copy_from", &CopyFrom);
  m.impl("_local_scalar_dense", &ReadScalar);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
}

}  // namespace
}  // namespace varserve::testing
