"""LRN: local response normalization, across channels or within each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops.kernel import BLOCKED, Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Ordered, same
from graphc.records import record

ACROSS, WITHIN = "ACROSS_CHANNELS", "WITHIN_CHANNEL"


@record(frozen=True)
class LRNAttrs:
    local_size: int = 5
    alpha: float = 1.0
    beta: float = 0.75
    norm_region: str = ACROSS
    k: float = 1.0
    engine: str = "DEFAULT"


def _gradient_rows(symbol: str, region: str) -> tuple[Kernel, Kernel]:
    """For plain images and for blocked ones."""
    plain = Kernel(
        "cpu",
        "dx",
        symbol,
        attrs=lambda a, s: _numbers(a),
        when=lambda a, s: bool(a.norm_region == region),
        strided=True,
    )
    blocked = replace(
        plain,
        attrs=lambda a, s: _numbers(a) | {"channels": s.ins["x"].shape[1]},
        formats=((BLOCKED, BLOCKED),),
    )
    return plain, blocked


class LRN(OpSpec):
    """y = x * (shift + alpha / count * sum of x^2 over the window round it)^-beta.

    x, y: (N, C, H, W). ACROSS_CHANNELS: `local_size` channels, shift = k, count = local_size.
    WITHIN_CHANNEL: local_size x local_size pixels, shift = 1 (Caffe ignores k), count its area.
    What lies outside counts as zero. Source: Krizhevsky et al. 2012, section 3.3.
    """

    type, param_field = "LRN", "lrn_param"
    Attrs = LRNAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @staticmethod
    def infer(a: LRNAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        if a.norm_region not in (ACROSS, WITHIN):
            fail("GC-N008", f"norm_region is {a.norm_region!r}", f"use {ACROSS} or {WITHIN}")
        if a.local_size < 1 or a.local_size % 2 == 0:
            fail("GC-N008", f"local_size is {a.local_size}, but must be odd")
        if x.rank != 4:
            fail("GC-S002", f"x has shape {x.shape}, but LRN takes (N, C, H, W)")
        return {"y": x}

    @staticmethod
    def grads(a: LRNAttrs, s: Sig) -> tuple[Grad, ...]:
        # across channels, a pixel's dx needs that pixel's dy alone: a kernel may overwrite dy
        return (Grad("x", ("dy", "x"), over="dy" if a.norm_region == ACROSS else None),)

    @staticmethod
    def ties(a: LRNAttrs, s: Sig) -> Algebra:
        order: Algebra = (Ordered("x.1"),) if a.norm_region == ACROSS else ()
        return (*same("x", "y", 1), *order)

    @staticmethod
    def reference(a: LRNAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        with np.errstate(all="ignore"):
            return {"y": v["x"] * _scale(a, v["x"]) ** -a.beta}

    @staticmethod
    def vjp(a: LRNAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        x, dy = v["x"], v["dy"]
        with np.errstate(all="ignore"):
            scale = _scale(a, x)
            power = scale**-a.beta
            shared = _window_sum(a, dy * x * power / scale)
            return np.asarray(dy * power - 2 * a.beta * _share(a) * x * shared)

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "lrn_across",
            attrs=lambda a, s: _numbers(a),
            when=lambda a, s: bool(a.norm_region == ACROSS),
            strided=True,
        ),
        Kernel(
            "cpu",
            "forward",
            "lrn_within",
            attrs=lambda a, s: _numbers(a),
            when=lambda a, s: bool(a.norm_region == WITHIN),
            strided=True,
        ),
        *(
            Kernel(
                "cpu",
                "forward",
                symbol,
                attrs=lambda a, s: _numbers(a) | {"channels": s.ins["x"].shape[1]},
                when=lambda a, s: bool(a.norm_region == ACROSS) and set(s.outs) == {"y"},
                strided=True,
                formats=((BLOCKED, BLOCKED),),
                asks=True,
            )
            for symbol in ("lrn_across_blocked", "dnnl_lrn")
        ),
        *_gradient_rows("lrn_across_gradient", ACROSS),
        *_gradient_rows("lrn_within_gradient", WITHIN),
        Kernel(
            "cpu",
            "forward",
            "lrn_within_blocked",
            attrs=lambda a, s: _numbers(a) | {"channels": s.ins["x"].shape[1]},
            # a network that only runs stays as it was
            when=lambda a, s: bool(a.norm_region == WITHIN) and s.train and set(s.outs) == {"y"},
            strided=True,
            formats=((BLOCKED, BLOCKED),),
        ),
    )
    samples = (
        Sample(((2, 5, 2, 3),), LRNAttrs(local_size=3)),
        Sample(((1, 3, 2, 2),), LRNAttrs(local_size=7, alpha=0.5, beta=1.5, k=2.0)),
        Sample(((2, 3, 2, 2),), LRNAttrs(local_size=1)),
        Sample(((2, 2, 4, 3),), LRNAttrs(local_size=3, norm_region=WITHIN, k=4.0)),
        Sample(((0, 5, 2, 3),), LRNAttrs()),
    )


def _share(a: LRNAttrs) -> float:
    """The weight of one square in the sum."""
    return a.alpha / (a.local_size if a.norm_region == ACROSS else a.local_size**2)


def _shift(a: LRNAttrs) -> float:
    return a.k if a.norm_region == ACROSS else 1.0


def _numbers(a: LRNAttrs) -> dict[str, Any]:
    """The parameters as the kernels take them."""
    radius = a.local_size // 2
    return {"radius": radius, "shift": _shift(a), "share": _share(a), "beta": a.beta}


def _scale(a: LRNAttrs, x: F64) -> F64:
    return _shift(a) + _share(a) * _window_sum(a, x * x)


def _window_sum(a: LRNAttrs, x: F64) -> F64:
    """Sum over the window centred at each element; its own transpose."""
    for axis in (1,) if a.norm_region == ACROSS else (2, 3):
        x = _centred_sum(x, axis, a.local_size // 2)
    return x


def _centred_sum(x: F64, axis: int, radius: int) -> F64:
    size, total = x.shape[axis], np.array(x)
    moved, sums = np.moveaxis(x, axis, 0), np.moveaxis(total, axis, 0)
    for shift in range(1, min(radius, size - 1) + 1):
        sums[shift:] += moved[:-shift]
        sums[:-shift] += moved[shift:]
    return total
