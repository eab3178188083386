"""Floats: an array of float32 as Python alone can hold it; what is handed on without NumPy."""

from __future__ import annotations

from typing import Any, TypeAlias

from graphc.numpy_later import np, npt
from graphc.records import record

Array: TypeAlias = "npt.NDArray[np.float32]"
Held: TypeAlias = "Array | Floats"
"""An array of either kind."""


@record(frozen=True, eq=False, slots=True)
class Floats:
    """Float32 numbers in row-major order: `numbers`, of format "f" and one axis, and a shape."""

    numbers: memoryview[float]
    shape: tuple[int, ...]

    @staticmethod
    def over(data: bytes | memoryview, shape: tuple[int, ...]) -> Floats:
        """Bytes in a row as the elements of an array; a view of them."""
        return Floats(memoryview(data).cast("f"), shape)

    @staticmethod
    def of(held: Held) -> Floats:
        """Any array's elements; a view of them where they are in a row."""
        if isinstance(held, Floats):
            return held
        flat = np.ascontiguousarray(held, np.float32).reshape(-1)
        return Floats.over(flat.view(np.uint8).data, held.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def array(self) -> Array:
        """NumPy's array on the same memory."""
        buffer: Any = self.numbers
        array: Array = np.ndarray(self.shape, np.float32, buffer)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.array, dtype) if copy else np.asarray(self.array, dtype)


def as_array(held: Held) -> Array:
    """NumPy's array, whichever of them it is."""
    return held.array if isinstance(held, Floats) else held


__all__ = ["Array", "Floats", "Held", "as_array"]
