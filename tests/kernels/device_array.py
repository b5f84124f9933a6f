"""NumPy arrays as arguments of Triton's interpreter, which asks for what it needs of a torch tensor; without torch."""

import numpy as np

# Of a model's values, with the tolerance for a result that is rounded to the type.
TYPES = {"float32": 2e-6, "bfloat16": 8e-3, "float16": 1e-3}


class DeviceArray:
    """An array that kernels read and write in place. bfloat16 is kept as the upper halves of float32 values."""

    def __init__(self, values: np.ndarray, dtype: str | None = None) -> None:
        self.dtype = dtype or values.dtype.name
        if self.dtype == "bfloat16":
            values = bfloat16_bits(values)
        self._storage = np.ascontiguousarray(values, dtype=None if self.dtype == "bfloat16" else self.dtype)

    @classmethod
    def over(cls, storage: np.ndarray, dtype: str) -> "DeviceArray":
        """Bytes, of any shape, as they lie in memory."""
        array = cls.__new__(cls)
        array.dtype, array._storage = dtype, storage
        return array

    def numpy(self) -> np.ndarray:
        if self.dtype == "bfloat16":
            return (self._storage.astype(np.uint32) << 16).view(np.float32)
        return self._storage

    # What the interpreter calls. The memory is the host's already, so that a copy is the array itself.
    def data_ptr(self) -> int:
        return self._storage.ctypes.data

    def untyped_storage(self) -> "DeviceArray":
        return self

    def cpu(self) -> "DeviceArray":
        return self

    def new_empty(self, *_: object, **__: object) -> "DeviceArray":
        return DeviceArray.over(np.empty(0, np.uint8), self.dtype)

    def set_(self, storage: "DeviceArray", *_: object) -> None:
        self.dtype = storage.dtype
        self._storage = storage._storage

    def storage_offset(self) -> int:
        return 0

    def size(self) -> tuple[int, ...]:
        return self._storage.shape

    def stride(self) -> tuple[int, ...]:
        return self._storage.strides

    def copy_(self, other: "DeviceArray") -> None:
        assert other.data_ptr() == self.data_ptr()


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """To the nearest, ties to even; values that are not finite stay so."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest values that `dtype` has, as float64."""
    return DeviceArray(values, dtype).numpy().astype(np.float64)
