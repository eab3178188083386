"""The random stream: counter-based uniforms that do not depend on who draws them, or when.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a key
and a counter into four words. The key is the seed (64 bits, low word first), the counter is
(element // 4, step, crc32(layer name), tag), and element i of a tensor takes word i % 4. Elements
are numbered through the whole batch, so replays, micro-batches, threads, resumed runs and devices
draw the same numbers. A word w becomes (w >> 8) * 2^-24, which float32 holds exactly.

`uniform` is computed by the C++ core; `uniform_numpy` is its definition, and the test's oracle.
"""

from __future__ import annotations

import math
from typing import TypeAlias
from zlib import crc32

from graphc import _core
from graphc.errors import fail
from graphc.numpy_later import np, npt

F64: TypeAlias = "npt.NDArray[np.float64]"
U32: TypeAlias = "npt.NDArray[np.uint32]"
U64: TypeAlias = "npt.NDArray[np.uint64]"

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
MAX_ELEMENTS = 1 << 34


def uniform(
    shape: tuple[int, ...], *, seed: int, step: int, layer: str, tag: int = 0, first: int = 0
) -> F64:
    """u[i] in [0, 1) for elements first + i of the full batch, i in row-major order over `shape`.

    `step`: iteration * iter_size + sub-pass, modulo 2^32; `seed`: modulo 2^64; `tag`: 0 .. 2^32-1,
    tells draws of one layer apart. float64 array of float32-exact values. Raises GC-L001 for
    elements beyond 2^34.
    """
    flat = _core.uniform(
        count=_count(shape, first),
        seed=seed & MASK64,
        step=step & MASK32,
        layer=layer_word(layer),
        tag=tag & MASK32,
        first=first,
    )
    return flat.astype(np.float64).reshape(shape)


def uniform_numpy(
    shape: tuple[int, ...], *, seed: int, step: int, layer: str, tag: int = 0, first: int = 0
) -> F64:
    """The same as `uniform`, bit for bit, in numpy."""
    count = _count(shape, first)
    blocks = np.arange(first // 4, (first + count + 3) // 4, dtype=np.uint32)
    fixed = np.array([step & MASK32, layer_word(layer), tag & MASK32], np.uint32)
    counter = np.concatenate([blocks[None, :], np.broadcast_to(fixed[:, None], (3, blocks.size))])
    words = philox(counter, (seed & MASK32, (seed & MASK64) >> 32)).T.reshape(-1)
    start = first % 4
    units = (words[start : start + count] >> np.uint32(8)).astype(np.float64) * 2.0**-24
    return np.asarray(units.reshape(shape))


def philox(counter: U32, key: tuple[int, int]) -> U32:
    """Philox4x32-10 of every column: `counter` (4, n) -> words (4, n)."""
    low = np.uint64(MASK32)
    c = [row.astype(np.uint64) for row in counter]
    for round_ in range(ROUNDS):
        k0, k1 = (np.uint64((k + round_ * w) & MASK32) for k, w in zip(key, WEYL, strict=True))
        a, b = (np.uint64(m) * row for m, row in zip(MULTIPLIERS, (c[0], c[2]), strict=True))
        c = [(b >> 32) ^ c[1] ^ k0, b & low, (a >> 32) ^ c[3] ^ k1, a & low]
    return np.stack(c).astype(np.uint32)


def layer_word(layer: str) -> int:
    """The counter word of a layer: crc32 of its UTF-8 name (lone surrogates kept as they are)."""
    return crc32(layer.encode("utf-8", "surrogatepass"))


def _count(shape: tuple[int, ...], first: int) -> int:
    """Number of elements of `shape`; the last one must be numbered below 2^34."""
    count = math.prod(shape)
    if first < 0 or min(shape, default=0) < 0 or first + count > MAX_ELEMENTS:
        fail(
            "GC-L001",
            f"random elements {first} to {first} + {count} lie outside 0 to 2^34",
            "use a smaller batch",
        )
    return count


__all__ = ["layer_word", "philox", "uniform", "uniform_numpy"]
