"""Types of graphc._core (csrc/bind.cpp); every function raises GraphError."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Spec: TypeAlias = tuple[str, Sequence[int], Sequence[int] | None]
"""(element type "f32" | "i64" | "i32" | "u8", dims, strides in elements or None for dense)."""

def uniform(
    *, count: int, seed: int, step: int, layer: int, tag: int, first: int = 0
) -> npt.NDArray[np.float32]:
    """Elements first .. first + count - 1 of a random stream; see graphc.rng."""

def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: the four words of a counter and a key."""

def crc32(data: bytes) -> int:
    """CRC-32 of ISO 3309, as zlib's."""

def kernel_symbols() -> list[str]:
    """The kernels of this build, by name."""

class Kernel:
    """One kernel made for operands of given specs; see `make_kernel`."""

    @property
    def workspace(self) -> int:
        """Bytes of workspace a run needs."""

    def run(
        self,
        reads: Sequence[npt.NDArray[Any]],
        writes: Sequence[npt.NDArray[Any]],
        threads: int = 1,
    ) -> None:
        """Run on arrays of exactly the kernel's specs; the workspace starts full of NaN."""

def make_kernel(
    symbol: str,
    reads: Sequence[Spec],
    writes: Sequence[Spec],
    attrs: Mapping[str, Any] = ...,
) -> Kernel:
    """The kernel called `symbol` for these operands; GC-A001 for what it cannot do."""
