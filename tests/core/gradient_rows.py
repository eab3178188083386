"""Run kernel rows of gradient parts on float32 arrays, beside the float64 vjp."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from core.blocked import blocked, plain, room
from core.rows import DTYPES, Array, Layer, Place, close, spec

from graphc import _core
from graphc.ops.kernel import BLOCKED, Kernel
from graphc.ops.spec import Ctx, Grad
from graphc.rng import uniform

SEED, STEP = 5, 2


def drawn(layer: Layer) -> Any:
    """The random stream of the layer under `SEED` and `STEP`."""
    return lambda shape, tag: uniform(shape, seed=SEED, step=STEP, layer=layer.sig.name, tag=tag)


class Backward:
    """Values that a layer's gradient parts may read, rounded to float32, as kernels get them."""

    def __init__(self, layer: Layer, values: Mapping[str, Any], seed: int = 0) -> None:
        self.layer, self.sig = layer, layer.sig
        known = {r: np.asarray(v, np.float32).astype(np.float64) for r, v in values.items()}
        for part in layer.op.forwards(layer.attrs, layer.sig):
            reads = (*self.sig.ins, *self.sig.params) if part.reads is None else part.reads
            ctx = Ctx(self.sig, part.name, drawn(layer))
            made = layer.op.reference(layer.attrs, {r: known[r] for r in reads}, ctx)
            known |= {r: v for r, v in made.items() if r not in self.sig.params}
        rng = np.random.default_rng([seed, 99])
        known |= {f"d{r}": rng.standard_normal(known[r].shape) for r in self.sig.tops}
        self.values = {r: self._rounded(r, v) for r, v in known.items()}
        inner = layer.op.inner(layer.attrs, layer.sig)
        for part in self.parts:
            if part.out in inner:
                self.values[f"d{part.out}"] = np.float32(self.wanted(part))

    @property
    def parts(self) -> tuple[Grad, ...]:
        return self.layer.op.grads(self.layer.attrs, self.sig)

    def rows(self, part: Grad) -> list[Kernel]:
        attrs, sig = self.layer.attrs, self.sig
        rows = [r for r in self.layer.op.kernels_of(attrs, sig) if r.does(part.part)]
        return [r for r in rows if r.when is None or r.when(attrs, sig)]

    def wanted(self, part: Grad) -> Array:
        reads = {role: self.values[role].astype(np.float64) for role in part.reads}
        ctx = Ctx(self.sig, part.part, drawn(self.layer))
        return self.layer.op.vjp(self.layer.attrs, part.part, reads, ctx)

    def run(
        self,
        part: Grad,
        row: Kernel,
        *,
        threads: int = 1,
        place: Place = np.array,
        over: bool = False,
        adds: Array | None = None,
        lanes: int = 0,
        gaps: tuple[int, int] = (0, 0),
    ) -> Array:
        """What a row makes. `over`: where the part allows, in its operand's place; `adds`: added to
        this; `lanes`: images in blocks of so many channels, with `gaps` of operands and result."""
        sig = self.sig
        in_blocks = (BLOCKED, BLOCKED) in row.formats

        def laid(array: Array, gap: int) -> Array:
            is_image = in_blocks and array.ndim == 4
            return blocked(array, lanes, gap) if is_image else place(array)

        def operand(role: str) -> Array:
            array = self.values[role]
            return np.array(array) if role in sig.params else laid(array, gaps[0])

        reads = {role: operand(role) for role in part.reads}
        shape = self.wanted(part).shape
        if over and part.over:
            target = reads[part.over]
        elif in_blocks and len(shape) == 4:
            target = room(shape, lanes, gaps[1])
        else:
            target = place(np.full(shape, np.nan, np.float32))
        told = dict(row.attrs(self.layer.attrs, sig)) if row.attrs else {}
        told |= {"block": lanes, "plain": 0} if in_blocks else {}
        arrays = [*reads.values()]
        if adds is not None:
            target[...] = laid(adds, 0)
            arrays.append(target)
            told["accumulate"] = True
        kernel = _core.make_kernel(
            row.symbol, [spec(a) for a in arrays], [spec(target)], told, threads
        )
        kernel.run(arrays, [target], threads, seed=SEED, step=STEP)
        if in_blocks and len(shape) == 4:
            return plain(target, shape[1])
        return np.array(target)

    def _rounded(self, role: str, value: Any) -> Array:
        known = role in self.sig.outs and self.sig.outs[role].dtype
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(value, DTYPES[known or "f32"])


def check(
    backward: Backward, *, products: int = 1, lanes: tuple[int, ...] = (8, 16), **how: Any
) -> set[str]:
    """Assert that every row of every part agrees with the vjp, in any number of threads, in place
    and added to what is there; returns the parts that have rows."""
    done = set()
    for part in backward.parts:
        for row in backward.rows(part):
            done.add(part.part)
            for count in lanes if (BLOCKED, BLOCKED) in row.formats else (0,):
                if not count or not row.whole or _channels(backward) % count == 0:
                    check_row(backward, part, row, products, count, **how)
    return done


def check_row(
    backward: Backward, part: Grad, row: Kernel, products: int, lanes: int, **how: Any
) -> None:
    wanted, name = backward.wanted(part), f"{backward.layer.op.type} {part.part} by {row.symbol}"
    name += f" in blocks of {lanes}" if lanes else ""
    made = backward.run(part, row, lanes=lanes, **how)
    close(made, wanted, name, products)
    for threads in (2, 3):
        again = backward.run(part, row, threads=threads, lanes=lanes, **how)
        assert again.tobytes() == made.tobytes(), f"{name} with {threads} threads"
    if part.over:
        again = backward.run(part, row, over=True, lanes=lanes, **how)
        assert again.tobytes() == made.tobytes(), f"{name} over {part.over}"
    if row.strided and lanes:
        again = backward.run(part, row, lanes=lanes, gaps=(2, 3), **how)
        assert again.tobytes() == made.tobytes(), f"{name} of slices"
    if row.adds:
        before = np.random.default_rng(1).standard_normal(wanted.shape).astype(np.float32)
        for threads in (1, 3):
            total = backward.run(part, row, adds=before, threads=threads, lanes=lanes, **how)
            with np.errstate(all="ignore"):
                close(total, wanted + before, f"{name}, added", products)


def _channels(backward: Backward) -> int:
    return next(iter(backward.sig.ins.values())).shape[1]


def products_of(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
