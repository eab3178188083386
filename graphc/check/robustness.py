"""References stand any layout, any number, any shape.

Each check takes a Case and raises CheckFailed.
"""

from __future__ import annotations

import numpy as np

from graphc.check.case import (
    Case,
    draw,
    forward,
    frozen,
    same,
    signature,
    state,
    top_gradients,
    vjp,
    with_inner,
)
from graphc.check.require import require
from graphc.errors import GraphError
from graphc.ops.spec import F64


def purity(case: Case) -> None:
    """Runs repeat exactly, write into nothing they read, and take arrays of any layout."""
    values = state(case)
    again = state(case)
    for role in case.sig.outs:
        require(np.array_equal(values[role], again[role], equal_nan=True), f"{role} varies")
    awkward = {role: _awkward(a) for role, a in draw(case).items()}
    for role, array in forward(case, awkward).items():
        require(same(array, values[role]), f"{role} depends on the memory layout")
    scattered = {role: _awkward(a) for role, a in values.items()}
    for grad in case.grads:
        require(same(vjp(case, grad, scattered), vjp(case, grad, values)), str(grad.part))


def _awkward(array: F64) -> F64:
    """The same numbers with a negative stride on the last axis and gaps on the first."""
    if array.ndim == 0:
        return array
    wide = np.full((array.shape[0] * 2, *array.shape[1:]), 7.7)
    view = wide[::2][..., ::-1]
    view[...] = array
    view.flags.writeable = False
    return view


def hostile_numbers(case: Case) -> None:
    """NaN, infinities and huge numbers raise GraphError or pass; no warning escapes."""
    rng = np.random.default_rng(3)
    base = draw(case)
    for role, array in base.items():
        for bad in (np.nan, np.inf, -np.inf, 1e300, -1.0, 3e38, 0.0):
            if not array.size:
                continue
            spoilt = np.array(array)
            spoilt.ravel()[rng.integers(array.size)] = bad
            try:
                values = forward(case, {**base, role: frozen(spoilt)})
                values = with_inner(case, values | top_gradients(case, values))
                for grad in case.grads:
                    vjp(case, grad, values)
            except GraphError:
                continue


def shape_fuzz(case: Case, rng: np.random.Generator) -> None:
    """Random bottoms are inferred, or refused with a GraphError; so are parts, ties and costs."""
    sizes = [0, 1, 2, 3, 5, 2**31 - 1]
    ins = tuple(_mutated(rng, shape, sizes) for shape in case.sample.ins)
    for phase in ("TRAIN", "TEST"):
        try:
            sig = signature(case.op, case.attrs, ins, case.sample.tops, phase)
        except GraphError:
            continue
        op, attrs = case.op, case.attrs
        op.ties(attrs, sig)
        op.views(attrs, sig)
        op.traits_of(attrs, sig)
        for name in [f.name for f in op.forwards(attrs, sig)]:
            require(op.cost(attrs, name, sig).macs >= 0, f"{name}: negative cost")
        for grad in op.grads(attrs, sig):
            require(op.cost(attrs, grad.part, sig).macs >= 0, f"{grad.part}: negative cost")


def _mutated(rng: np.random.Generator, shape: tuple[int, ...], sizes: list[int]) -> tuple[int, ...]:
    dims = list(shape)
    kind = rng.integers(4)
    if kind == 0:
        dims = [int(rng.choice(sizes)) for _ in range(rng.integers(0, 6))]
    elif kind == 1 and dims:
        dims[rng.integers(len(dims))] = int(rng.choice(sizes))
    elif kind == 2:
        dims.insert(int(rng.integers(len(dims) + 1)), int(rng.choice(sizes[:4])))
    elif dims:
        dims.pop(int(rng.integers(len(dims))))
    return tuple(dims)
