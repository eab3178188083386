"""Run a kernel row of a declaration on float32 arrays, beside its float64 reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.check.case import Case, signature
from graphc.ir.op import Sig
from graphc.ops.kernel import Kernel
from graphc.ops.spec import Ctx, Forward, OpSpec
from graphc.rng import uniform

DTYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "u8": np.uint8}
Array = npt.NDArray[Any]
Place = Callable[[Array], Array]


def spec(array: Array) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """An array as a kernel is told of it."""
    name = next(n for n, d in DTYPES.items() if array.dtype == d)
    return name, array.shape, tuple(s // array.itemsize for s in array.strides)


def rows_of(op: type[OpSpec], part: str) -> tuple[Kernel, ...]:
    return tuple(row for row in op.kernels if row.backend == "cpu" and row.does(part))


def cased(case: Case) -> Layer:
    return Layer(case.op, case.attrs, case.sig)


class Layer:
    """One use of a layer; every forward part is run by its first kernel row and by its reference,
    on the same float32 operands."""

    def __init__(self, op: type[OpSpec], attrs: Any, sig: Sig) -> None:
        self.op, self.attrs, self.sig = op, attrs, sig

    @classmethod
    def of(
        cls, op: type[OpSpec], attrs: Any, *shapes: tuple[int, ...], tops: int = 1, phase="TEST"
    ) -> Layer:
        attrs = op.Attrs() if attrs is None else attrs
        return cls(op, attrs, signature(op, attrs, shapes, tops, phase))

    def without(self, *roles: str) -> Layer:
        """The same with these aux values unasked for."""
        outs = {r: t for r, t in self.sig.outs.items() if r not in roles}
        return Layer(self.op, self.attrs, replace(self.sig, outs=outs))

    def usable(self, part: Forward) -> list[Kernel]:
        rows = rows_of(self.op, part.name)
        return [row for row in rows if row.when is None or row.when(self.attrs, self.sig)]

    def run(
        self,
        values: Mapping[str, Array],
        *,
        threads: int = 1,
        seed: int = 0,
        step: int = 0,
        place: Place = np.array,
        over: bool = False,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """What kernels, and what the reference, make of `values`: tops, aux, and new state as
        "new " + role. Each part of the reference gets what the kernels of those before made.

        `place` lays every array out in memory; `over`: results are written over operands where
        the declaration allows that.
        """
        made: dict[str, Array] = {}
        wanted: dict[str, Array] = {}
        for part in self.op.forwards(self.attrs, self.sig):
            given = self._given(part, {**values, **made})
            wanted |= self._reference(part, given, seed, step)
            made |= self._kernel(part, given, threads, seed, step, place, over)
        return made, wanted

    def run_kernels(self, values: Mapping[str, Array], threads: int = 1) -> None:
        for part in self.op.forwards(self.attrs, self.sig):
            self._kernel(part, self._given(part, values), threads, 0, 0, np.array, False)

    def run_reference(self, values: Mapping[str, Array]) -> None:
        for part in self.op.forwards(self.attrs, self.sig):
            self._reference(part, self._given(part, values), 0, 0)

    def _given(self, part: Forward, values: Mapping[str, Array]) -> dict[str, Array]:
        reads = (*self.sig.ins, *self.sig.params) if part.reads is None else part.reads
        return {role: np.array(values[role], np.float32, order="C") for role in reads}

    def _written(self, part: Forward) -> tuple[str, ...]:
        return tuple(self.sig.outs) if part.writes is None else part.writes

    def _kernel(
        self,
        part: Forward,
        given: Mapping[str, Array],
        threads: int,
        seed: int,
        step: int,
        place: Place,
        over: bool,
    ) -> dict[str, Array]:
        rows = self.usable(part)
        assert rows, f"{self.op.type}.{part.name} has no kernel for this use"
        told = dict(rows[0].attrs(self.attrs, self.sig)) if rows[0].attrs else {}
        sources = {role: place(array) for role, array in given.items()}
        for pack in rows[0].packs:
            size = pack.size(self.attrs, self.sig)
            sources[pack.of] = packed(pack.symbol, given[pack.of], size, told, threads)
        twins = {top: role for top, role in reversed(part.over)} if over else {}
        targets = {}
        for role in self._written(part):
            twin = twins.get(role, role if role in self.sig.params else None)
            targets[role] = sources[twin] if twin in sources else place(_blank(self.sig, role))
        kernel = _core.make_kernel(
            rows[0].symbol,
            [spec(a) for a in sources.values()],
            [spec(a) for a in targets.values()],
            told,
        )
        kernel.run([*sources.values()], [*targets.values()], threads, seed=seed, step=step)
        return {self._result(role): array for role, array in targets.items()}

    def _reference(
        self, part: Forward, given: Mapping[str, Array], seed: int, step: int
    ) -> dict[str, Array]:
        def draw(shape: tuple[int, ...], tag: int) -> Array:
            return uniform(shape, seed=seed, step=step, layer=self.sig.name, tag=tag)

        values = {role: array.astype(np.float64) for role, array in given.items()}
        found = self.op.reference(self.attrs, values, Ctx(self.sig, part.name, draw))
        return {self._result(role): found[role] for role in self._written(part)}

    def _result(self, role: str) -> str:
        return f"new {role}" if role in self.sig.params else role


def packed(symbol: str, array: Array, size: int, attrs: Any, threads: int) -> Array:
    """An operand as a pack kernel rearranges it."""
    target = np.full(size, np.nan, np.float32)
    kernel = _core.make_kernel(symbol, [spec(array)], [spec(target)], attrs)
    kernel.run([array], [target], threads)
    return target


def compare(layer: Layer, values: Mapping[str, Array], products: int = 1, **how: Any) -> None:
    """Assert that kernels and reference agree; `products`: how many are in one sum."""
    made, wanted = layer.run(values, **how)
    assert made.keys() == wanted.keys()
    for role, array in made.items():
        close(array, wanted[role], f"{layer.op.type} {layer.attrs}: {role}", products)


def close(made: Array, wanted: Array, what: str = "", products: int = 1) -> None:
    """|made - wanted| <= 1e-5 max(1, max|wanted|), more for long sums; the same NaN and inf."""
    with np.errstate(all="ignore"):
        target = np.asarray(wanted, np.float64).astype(np.float32)
    assert made.shape == target.shape, what
    special = ~np.isfinite(target)
    assert np.array_equal(made[special], target[special], equal_nan=True), what
    assert np.isfinite(made[~special]).all(), what
    plain = target[~special].astype(np.float64)
    if plain.size:
        bound = max(1e-5, 1e-6 * np.sqrt(products)) * max(1.0, float(np.abs(plain).max()))
        worst = float(np.abs(made[~special].astype(np.float64) - plain).max())
        assert worst <= bound, f"{what}: off by {worst:.3g}, allowed {bound:.3g}"


def gapped(array: Array) -> Array:
    """The same values with gaps after each run of the first axis, as in a slice of a batch."""
    if array.ndim < 2:
        return np.array(array)
    room = np.full((array.shape[0], array.shape[1] + 3, *array.shape[2:]), 7, array.dtype)
    view = room[:, 2:-1]
    view[...] = array
    return view


def channels_last(array: Array) -> Array:
    """The same values with axis 1 innermost in memory."""
    return np.moveaxis(np.array(np.moveaxis(array, 1, -1)), -1, 1) if array.ndim > 2 else array


def _blank(sig: Sig, role: str) -> Array:
    dtype = DTYPES[sig[role].dtype]
    return np.full(sig[role].shape, np.nan if dtype is np.float32 else 99, dtype)
