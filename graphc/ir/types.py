"""Type: the shape and element type of a value, with checked arithmetic."""

from __future__ import annotations

import math
import struct
from typing import Literal

from graphc.errors import fail
from graphc.records import record

DType = Literal["f32", "i64", "i32", "u8"]
Phase = Literal["TRAIN", "TEST"]
ITEM_BYTES: dict[str, int] = {"f32": 4, "i64": 8, "i32": 4, "u8": 1}
MAX_DIM = (1 << 31) - 1
MAX_RANK = 32
MAX_SIZE = 1 << 48
_F32 = struct.Struct("<f")


@record(frozen=True, slots=True)
class Type:
    """`shape` (outermost axis first; () is a scalar) and element type.

    Raises GC-S001 for a dimension outside 0 .. 2^31-1, more than 32 axes or over 2^48 elements.
    """

    shape: tuple[int, ...]
    dtype: DType = "f32"

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_RANK:
            fail("GC-S001", f"{len(self.shape)} axes; at most {MAX_RANK} are possible")
        for dim in self.shape:
            if not 0 <= dim <= MAX_DIM:
                fail("GC-S001", f"dimension {dim} of shape {self.shape} is out of range")
        if math.prod(self.shape) > MAX_SIZE:
            fail("GC-S001", f"shape {self.shape} has over 2^48 elements")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Dense size in bytes."""
        return self.size * ITEM_BYTES[self.dtype]

    def axis(self, index: int, what: str = "axis", *, end: bool = False) -> int:
        """Turn a Caffe axis (negative counts from the end) into 0 .. rank-1.

        With `end=True` the index may also be `rank` (one past the last). Raises GC-S002.
        """
        top = self.rank + 1 if end else self.rank
        canonical = index + self.rank if index < 0 else index
        if not 0 <= canonical < top:
            fail("GC-S002", f"{what} {index} is out of range for a blob of shape {self.shape}")
        return canonical

    def count(self, start: int = 0, stop: int | None = None) -> int:
        """Product of the dims from `start` up to `stop` (exclusive; None: to the end)."""
        return math.prod(self.shape[start:stop])

    def with_shape(self, *shape: int) -> Type:
        return Type(tuple(shape), self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def to_f32(number: float) -> float:
    """The nearest float32; infinite beyond their range."""
    try:
        found: float = _F32.unpack(_F32.pack(number))[0]
        return found
    except OverflowError:
        return math.copysign(math.inf, number)
