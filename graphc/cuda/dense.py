"""offers_of: how cuDNN and cuBLASLt do dense products, for the planner to choose from.

The only place that knows of our kernel rows and of cuDNN's plans. It needs neither a library nor a
GPU: plans come from the tables in graphc/tables, which tools/cudnn_tables.py makes, or, of products
that no table has, from the cuDNN that is installed (see `graphc.cuda.cudnn`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.costs import MEASURED
from graphc.cuda.launch import ITEM_BYTES, Spec
from graphc.cuda.library import Library
from graphc.cuda.plans import Product, fastest_first
from graphc.cuda.variants import Offer, Use, Variants

FORWARD, DATA, WEIGHT = "fprop", "dgrad", "wgrad"
DIRECTIONS = {"conv": FORWARD, "conv_depthwise": FORWARD, "deconv": DATA, "conv_dweight": WEIGHT}
"""Symbols of kernel rows -> the product of cuDNN that they are."""
PRODUCTS = ("inner_product", "inner_product_dx", "inner_product_dweight")
CUDNN, CUBLAS = "cudnn", "cublaslt"
"""First word of an offer's key."""
ORDER, ROOFLINE = "cuDNN's order x roofline", "roofline"
STEP = 0.1
"""How much longer than the one before it a plan of cuDNN's order is taken to run."""
SPACES = (32 << 20, 4 << 20, 0)
"""Workspaces with which cuBLASLt is asked for its fastest kernel: the first is NVIDIA's advice."""


def offers_of(library: Library) -> Variants:
    """The offers of a library's versions for a use: of a convolution the plans that none beats in
    both workspace and time, the fastest first; none where it has none.

    Times that nobody has measured are estimates: cuDNN's order of the plans, each `STEP` slower
    than the one before, times the time of the roofline.
    """

    def offers(use: Use) -> Sequence[Offer]:
        if use.symbol in PRODUCTS and library.has_cublas:
            return _matrix_offers(use, library)
        product = product_of(use)
        if product is None:
            return ()
        plans = library.plans(product)
        times = library.measured(product, plans)
        if times is not None:
            ranked = sorted(zip(times, plans, strict=True), key=lambda pair: pair[0])
            plans = tuple(plan for _, plan in ranked)
        plans = fastest_first(plans, library.tf32, library.deterministic)
        if times is None:
            rates = (library.microseconds(product, plan.is_tf32) for plan in plans)
            times = tuple(_ranked(us, rank) for rank, us in enumerate(rates))
            basis = ORDER
        else:
            times, basis = library.measured(product, plans) or (), MEASURED
        return [
            Offer(f"{CUDNN} {p.key}", p.workspace, us, p.is_deterministic, basis)
            for us, p in zip(times, plans, strict=True)
        ]

    return offers


def product_of(use: Use) -> Product | None:
    """The product of a convolution that a use is; None for what is not given to cuDNN: several
    pairs that share a weight, other than two spatial axes, sums with what is there, fused
    epilogues."""
    direction, told = DIRECTIONS.get(use.symbol), dict(use.told)
    if direction is None or len(use.writes) != 1 or told["axis"] != 1:
        return None
    if any(told.get(name) for name in ("accumulate", "transpose", "relu", "residual", "block")):
        return None
    if direction == DATA and told["bias"]:  # a deconvolution's forward
        return None
    x, y = _images(direction, use)
    if not len(x.shape) == len(y.shape) == 4 or x.dtype != y.dtype:
        return None
    weight = (y.shape[1], x.shape[1] // told["group"], *told["kernel"])
    if 0 in (*x.shape, *weight, *y.shape):
        return None
    pad, stride, dilation = (tuple(told[name]) for name in ("pad", "stride", "dilation"))
    bias = direction == FORWARD and bool(told["bias"])
    shapes = x.shape, weight, y.shape
    return Product(direction, x.dtype, *shapes, pad, stride, dilation, bias)


def _images(direction: str, use: Use) -> tuple[Spec, Spec]:
    """x, where windows move, and y, or their gradients."""
    if direction == FORWARD:
        return use.reads[0], use.writes[0]
    if direction == DATA:
        return use.writes[0], use.reads[0]
    return use.reads[1], use.reads[0]


def _matrix_offers(use: Use, library: Library) -> Sequence[Offer]:
    told = dict(use.told)
    if told.get("relu") or use.reads[0].dtype != use.writes[0].dtype:
        return ()
    first, axis = use.reads[0], told["axis"]
    rows, depth = math.prod(first.shape[:axis]), math.prod(first.shape[axis:])
    others = math.prod(use.reads[1].shape) // max(1, rows if "dweight" in use.symbol else depth)
    if 0 in (rows, depth, others):
        return ()
    nbytes = sum(spec.size for spec in (*use.reads, *use.writes)) * ITEM_BYTES[first.dtype]
    us = library.roofline(first.dtype, rows * depth * others, nbytes, library.tf32)
    return [
        Offer(f"{CUBLAS} {space}", space, _ranked(us, rank), True, ROOFLINE)
        for rank, space in enumerate(SPACES)
    ]


def _ranked(us: float, rank: int) -> float:
    return round(us * (1 + STEP * rank), 3)


__all__ = ["CUBLAS", "CUDNN", "DIRECTIONS", "PRODUCTS", "offers_of", "product_of"]
