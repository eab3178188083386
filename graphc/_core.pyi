"""Types of graphc._core (csrc/bind.cpp); every function raises GraphError."""

import numpy as np
import numpy.typing as npt

def uniform(
    *, count: int, seed: int, step: int, layer: int, tag: int, first: int = 0
) -> npt.NDArray[np.float32]:
    """Elements first .. first + count - 1 of a random stream; see graphc.rng."""

def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: the four words of a counter and a key."""

def crc32(data: bytes) -> int:
    """CRC-32 of ISO 3309, as zlib's."""
