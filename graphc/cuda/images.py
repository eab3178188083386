"""Work of pooling and of local response normalization; images are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.cuda.launch import (
    NULL,
    THREADS,
    Given,
    Launch,
    Operand,
    Scratch,
    Spec,
    Told,
    Work,
    over,
    refuse,
    struct,
)
from graphc.numpy_later import np

SHARED_BYTES = 48 << 10
"""Of dynamic shared memory that every GPU gives a block unasked."""


def pooling(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """max_pool: y, and of mask and index those that are there; mean_pool: y."""
    x, y = reads[0], writes[0]
    name = f"graphc::mean_pool<{x.item}>"
    places: list[Operand | Given] = [Operand(1)]
    if symbol == "max_pool":
        index = next((k for k, w in enumerate(writes) if w.dtype in ("u8", "i32")), None)
        mask = next((k for k, w in enumerate(writes) if k and k != index), None)
        item = "int" if index is None else writes[index].item
        name = f"graphc::max_pool<{x.item}, {item}>"
        places += [NULL if k is None else Operand(1 + k) for k in (mask, index)]
    args = (_pool_image(told, x, y), Operand(0), *places)
    return Work((Launch("pool.cu", name, *over(y.size), args),))


def pooling_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """max_pool_gradient: dy, index -> dx; mean_pool_gradient: dy -> dx."""
    dy, dx = reads[0], writes[0]
    adds = bool(told.get("accumulate"))
    used = len(reads) - adds
    index, item = (Operand(1), reads[1].item) if used == 2 else (NULL, "unsigned char")
    numbers = (_pool_image(told, dx, dy), np.int32(adds))
    args = (*numbers, Operand(0), index, Operand(len(reads)))
    name = f"graphc::pool_gradient<{dy.item}, {item}>"
    return Work((Launch("pool.cu", name, *over(dx.size), args),))


def _pool_image(told: Told, x: Spec, y: Spec) -> object:
    axes = zip(x.shape[2:], told["kernel"], told["stride"], told["pad"], strict=True)
    numbers = [n for axis in axes for n in axis]
    return _image((*numbers, *y.shape[2:], x.shape[0]), x, y)


def _image(numbers: Sequence[int], *images: Spec) -> object:
    """A struct of numbers, and of an ImageOrder, see kernels/image.h."""
    is_last = not all(image.is_dense for image in images)
    longs = map(np.int64, (*numbers, images[0].shape[1]))
    return struct(*longs, np.int32(is_last))


def lrn(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """lrn_across, lrn_within: x -> y."""
    x = reads[0]
    args = (*_lrn_told(told, x), Operand(0), Operand(1))
    return Work((Launch("lrn.cu", f"graphc::{symbol}_forward<{x.item}>", *over(x.size), args),))


def lrn_across_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dy, x -> dx, which may be dy. Raises GC-A001 for more channels than shared memory holds."""
    x = reads[1]
    samples, channels, height, width = x.shape
    pixels = 32
    while pixels > 1 and channels * pixels * 4 > SHARED_BYTES:
        pixels //= 2
    if channels * pixels * 4 > SHARED_BYTES:
        refuse(symbol, f"{channels} channels are more than {SHARED_BYTES // 4}")
    blocks = max(1, -(-samples * height * width // pixels))
    args = (*_lrn_told(told, x), Operand(0), Operand(1), Operand(2))
    block = (pixels, THREADS // pixels) if pixels >= 4 else (pixels, 64)
    shared = channels * pixels * 4
    return Work((Launch("lrn.cu", f"graphc::{symbol}<{x.item}>", (blocks,), block, args, shared),))


def lrn_within_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dy, x -> dx, by way of a ratio for each element."""
    x = reads[1]
    first = (*_lrn_told(told, x), Operand(0), Operand(1), Scratch(0))
    names = [f"graphc::{name}<{x.item}>" for name in ("lrn_within_ratio", symbol)]
    launches = (
        Launch("lrn.cu", names[0], *over(x.size), first),
        Launch("lrn.cu", names[1], *over(x.size), (*first, Operand(2))),
    )
    return Work(launches, x.size * 4)


def _lrn_told(told: Told, x: Spec) -> tuple[object, object]:
    numbers = (np.float32(told[name]) for name in ("shift", "share", "beta"))
    n, _, h, w = x.shape
    return struct(np.int64(told["radius"]), *numbers), _image((n, h, w), x)
