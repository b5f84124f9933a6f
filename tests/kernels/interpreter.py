"""Triton's interpreter, with matrix products of bfloat16. It keeps such values as their bits, and version 3.9
multiplies those as if they were integers."""

import numpy as np
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def _widened(operand: TensorHandle) -> TensorHandle:
    if operand.dtype.scalar != tl.bfloat16:
        return operand
    return TensorHandle((operand.data.astype(np.uint32) << 16).view(np.float32), tl.float32)


_create_dot = InterpreterBuilder.create_dot


def _create_dot_of_any_type(self: InterpreterBuilder, a: TensorHandle, b: TensorHandle, *rest: object) -> TensorHandle:
    return _create_dot(self, _widened(a), _widened(b), *rest)


def multiply_bfloat16() -> None:
    InterpreterBuilder.create_dot = _create_dot_of_any_type
