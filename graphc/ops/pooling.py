"""Pooling: the maximum or the mean of each window of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import MAX_DIM, Type
from graphc.numpy_later import np
from graphc.ops._pool import FLT_MAX, Pool, box_sum, maximum, scatter, spread
from graphc.ops.kernel import BLOCKED, Kernel
from graphc.ops.spec import F64, Ctx, Grad, Limitation, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, same
from graphc.records import record


@record(frozen=True)
class PoolingAttrs:
    """kernel, stride and pad as one number or as `_h` and `_w`; `global_pooling` excludes them."""

    pool: str = "MAX"
    pad: int | None = None
    pad_h: int | None = None
    pad_w: int | None = None
    kernel_size: int | None = None
    kernel_h: int | None = None
    kernel_w: int | None = None
    stride: int | None = None
    stride_h: int | None = None
    stride_w: int | None = None
    engine: str = "DEFAULT"
    global_pooling: bool = False
    round_mode: str = "CEIL"


_BLOCKED_ROWS = (
    ("MAX", "max_pool_blocked", {"y", "index"}),
    ("MAX", "dnnl_max_pool", {"y"}),
    ("AVE", "mean_pool_blocked", {"y"}),
    ("AVE", "dnnl_mean_pool", {"y"}),
)
_GRADIENTS = (("MAX", "max_pool_gradient"), ("AVE", "mean_pool_gradient"))


def _makes(method: str, most: set[str]) -> Callable[[PoolingAttrs, Sig], bool]:
    """Is this the method, and no more than that asked for?"""
    return lambda a, s: bool(a.pool == method) and set(s.outs) <= most


class Pooling(OpSpec):
    """y[n,c,p,q] = max or mean of x[n,c, p*s - pad : p*s - pad + kernel, ...].

    x: (N, C, H, W). y: (N, C, P, Q) with P = ceil((H + 2 pad - kernel) / s) + 1 (floor with
    round_mode FLOOR), less one if padded and the last window would start beyond the image.
    mask: flat index in the H x W plane of each maximum, -1 where there is none (empty window, or
    nothing over -FLT_MAX); the first of equal maxima wins. The mean divides by the window's extent
    in the padded image. Aux index: the maximum's index in its window, row-major.
    """

    type, param_field = "Pooling", "pooling_param"
    Attrs = PoolingAttrs
    tops = ("y", "mask?")
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @staticmethod
    def infer(a: PoolingAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        _check_method(a, s)
        rows, cols = _pools(a, x)
        elements = rows.kernel * cols.kernel
        if a.pool == "MAX" and elements > MAX_DIM:
            fail("GC-N008", f"kernel {rows.kernel} x {cols.kernel} has over 2^31 - 1 elements")
        return dict.fromkeys(s.tops, Type((*x.shape[:2], rows.out, cols.out)))

    @staticmethod
    def aux(a: PoolingAttrs, s: Sig) -> dict[str, Type]:
        if a.pool != "MAX":
            return {}
        rows, cols = _pools(a, s.ins["x"])
        shape = (*s.ins["x"].shape[:2], rows.out, cols.out)
        return {"index": Type(shape, "u8" if rows.kernel * cols.kernel <= 256 else "i32")}

    @staticmethod
    def grads(a: PoolingAttrs, s: Sig) -> tuple[Grad, ...]:
        reads = ("dy", "index") if a.pool == "MAX" else ("dy",)
        return (Grad("x", reads, accumulate=True),)

    @staticmethod
    def ties(a: PoolingAttrs, s: Sig) -> Algebra:
        return tuple(tie for top in s.tops for tie in same("x", top, 1))

    @staticmethod
    def reference(a: PoolingAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        rows, cols = _pools(a, ctx.sig["x"])
        if a.pool == "AVE":
            with np.errstate(all="ignore"):
                return {"y": box_sum(v["x"], rows, cols) / np.outer(rows.extents(), cols.extents())}
        y, index = maximum(v["x"], rows, cols)
        h = index // cols.kernel + np.arange(rows.out)[:, None] * rows.stride - rows.pad
        w = index % cols.kernel + np.arange(cols.out) * cols.stride - cols.pad
        mask = np.where(y > -FLT_MAX, h * cols.size + w, -1)
        return {"y": y, "mask": mask.astype(np.float64), "index": index.astype(np.float64)}

    @staticmethod
    def vjp(a: PoolingAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        rows, cols = _pools(a, ctx.sig["x"])
        if a.pool == "MAX":
            return scatter(v["dy"], v["index"].astype(np.int64), rows, cols)
        with np.errstate(all="ignore"):
            share = v["dy"] / np.outer(rows.extents(), cols.extents())
            return spread(share, rows, cols)

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "max_pool",
            attrs=lambda a, s: _numbers(a, s),
            when=lambda a, s: bool(a.pool == "MAX"),
            strided=True,
        ),
        Kernel(
            "cpu",
            "forward",
            "mean_pool",
            attrs=lambda a, s: _numbers(a, s),
            when=lambda a, s: bool(a.pool == "AVE"),
            strided=True,
        ),
        *(
            Kernel(
                "cpu",
                "forward",
                symbol,
                attrs=lambda a, s: _numbers(a, s) | {"channels": s.ins["x"].shape[1]},
                when=_makes(method, most),
                strided=True,
                formats=((BLOCKED, BLOCKED),),
                asks=True,
            )
            for method, symbol, most in _BLOCKED_ROWS
        ),
        *(
            Kernel(
                "cpu",
                "dx",
                symbol,
                attrs=lambda a, s: _numbers(a, s),
                when=_makes(method, {"y", "mask", "index"}),
                strided=True,
                adds=True,
            )
            for method, symbol in _GRADIENTS
        ),
        *(
            Kernel(
                "cpu",
                "dx",
                f"{symbol}_blocked",
                attrs=lambda a, s: _numbers(a, s) | {"channels": s.ins["x"].shape[1]},
                when=_makes(method, {"y", "mask", "index"}),
                strided=True,
                formats=((BLOCKED, BLOCKED),),
                adds=True,
            )
            for method, symbol in _GRADIENTS
        ),
    )
    limitations = (
        Limitation("pool: STOCHASTIC is refused; Caffe has none on the CPU either"),
        Limitation(
            "pool: MAX: a window in which nothing is over -FLT_MAX (NaN, -inf) gives its gradient "
            "to its first element"
        ),
    )
    samples = (
        Sample(((2, 2, 5, 4),), PoolingAttrs(kernel_size=3, stride=2)),
        Sample(((1, 2, 5, 5),), PoolingAttrs(kernel_size=3, stride=2, pad=1), tops=2),
        Sample(((1, 2, 4, 5),), PoolingAttrs(kernel_h=2, kernel_w=3, round_mode="FLOOR")),
        Sample(((1, 1, 3, 20),), PoolingAttrs(kernel_h=1, kernel_w=20)),
        Sample(((2, 2, 3, 3),), PoolingAttrs(global_pooling=True)),
        Sample(((2, 2, 5, 4),), PoolingAttrs(pool="AVE", kernel_size=2, stride=2, pad=1)),
        Sample(((2, 2, 5, 4),), PoolingAttrs(pool="AVE", kernel_size=2, stride=3)),
        Sample(((2, 2, 3, 4),), PoolingAttrs(pool="AVE", global_pooling=True)),
        Sample(((0, 2, 5, 4),), PoolingAttrs(kernel_size=3)),
        Sample(((0, 2, 5, 4),), PoolingAttrs(pool="AVE", kernel_size=3)),
    )


def _check_method(a: PoolingAttrs, s: Sig) -> None:
    if a.pool == "STOCHASTIC":
        fail("GC-U001", "stochastic pooling is not implemented", "use pool: MAX or pool: AVE")
    if a.pool not in ("MAX", "AVE"):
        fail("GC-N008", f"pool is {a.pool!r}", "use MAX or AVE")
    if a.round_mode not in ("CEIL", "FLOOR"):
        fail("GC-N008", f"round_mode is {a.round_mode!r}", "use CEIL or FLOOR")
    if a.pool == "AVE" and "mask" in s.tops:
        fail("GC-N004", "the second top, the mask, exists with pool: MAX alone")


def _pools(a: PoolingAttrs, x: Type) -> tuple[Pool, Pool]:
    """Windows along H and W. Raises GC-S002, GC-N008."""
    if x.rank != 4:
        fail("GC-S002", f"x has shape {x.shape}, but pooling takes (N, C, H, W)")
    pads, strides = _pair(a, "pad", "pad", 0, 0), _pair(a, "stride", "stride", 1, 1)
    if a.global_pooling:
        if (a.kernel_size, a.kernel_h, a.kernel_w) != (None, None, None):
            fail("GC-N008", "global_pooling excludes kernel_size, kernel_h and kernel_w")
        if pads != (0, 0) or strides != (1, 1):
            fail("GC-N008", f"global_pooling excludes pad {pads} and stride {strides}")
        if 0 in x.shape[2:]:
            fail("GC-S002", f"x {x.shape} has an empty plane")
        rows, cols = (Pool(size, size, 1, 0, 1) for size in x.shape[2:])
        return rows, cols
    kernels = _pair(a, "kernel_size", "kernel", None, 1)
    for kernel, pad in zip(kernels, pads, strict=True):
        if pad >= kernel:
            fail("GC-N008", f"pad {pad} is not smaller than the kernel, {kernel}")
    rows, cols = (
        _pool(a, x, axis, kernels[axis - 2], strides[axis - 2], pads[axis - 2], any(pads))
        for axis in (2, 3)
    )
    return rows, cols


def _pool(
    a: PoolingAttrs, x: Type, axis: int, kernel: int, stride: int, pad: int, clip: bool
) -> Pool:
    size = x.shape[axis]
    room = size + 2 * pad - kernel
    out = (room // stride if a.round_mode == "FLOOR" else -(-room // stride)) + 1
    if clip and (out - 1) * stride >= size + pad:
        out -= 1
    if out < 1 or size < 1:
        fail(
            "GC-S002",
            f"kernel {kernel} is larger than axis {axis} of x {x.shape}, padded to "
            f"{size} + 2 * {pad} = {size + 2 * pad}",
            "use a smaller kernel, or global_pooling: true for the whole plane",
        )
    return Pool(size, kernel, stride, pad, out)


def _pair(
    a: PoolingAttrs, name: str, short: str, default: int | None, least: int
) -> tuple[int, int]:
    """One option for H and W, from its one-number or its two-number form. Raises GC-N008."""
    single: int | None = getattr(a, name)
    h: int | None = getattr(a, f"{short}_h")
    w: int | None = getattr(a, f"{short}_w")
    if (h is None) != (w is None):
        fail("GC-N008", f"{short}_h and {short}_w go together; one is missing")
    if h is not None and single is not None:
        fail("GC-N008", f"{name} and {short}_h / {short}_w are both given", "keep one form")
    if h is None:
        h = w = default if single is None else single
    if h is None or w is None:
        fail("GC-N008", f"{name} is missing", "give it, or global_pooling: true")
    if min(h, w) < least:
        fail("GC-N008", f"{name} is {min(h, w)}, but must be at least {least}")
    return h, w


def _numbers(a: PoolingAttrs, s: Sig) -> dict[str, Any]:
    """kernel, stride and pad along H and W, as the kernels take them."""
    pools = _pools(a, s.ins["x"])
    return {name: tuple(getattr(p, name) for p in pools) for name in ("kernel", "stride", "pad")}
