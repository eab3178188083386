"""Gradient parts of a layer: every kernel row that does one, run beside the float64 vjp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from core.dnnl_cases import BLOCK, EMPTY, GAP, blocked, plain, room, room_for
from core.rows import Array, Layer, close, rows_of, spec

from graphc import _core
from graphc.lower._formats import Formats
from graphc.lower._problem import told_of
from graphc.ops.kernel import BLOCKED, Kernel, Pack, Sides
from graphc.ops.spec import Ctx, Grad

THREADS = (1, 3)


def grads(layer: Layer) -> dict[str, Grad]:
    return {grad.part: grad for grad in layer.op.grads(layer.attrs, layer.sig)}


def filled(layer: Layer, seed: int = 0) -> dict[str, Array]:
    """Normal values for every bottom, parameter, top and gradient of a top."""
    rng = np.random.default_rng(seed)
    sig = layer.sig
    types = {**sig.ins, **sig.params, **sig.outs, **{f"d{r}": t for r, t in sig.outs.items()}}
    return {role: rng.standard_normal(t.shape).astype(np.float32) for role, t in types.items()}


def wanted(layer: Layer, part: str, values: Mapping[str, Array]) -> Array:
    """The gradient in float64."""
    reads = {role: values[role].astype(np.float64) for role in grads(layer)[part].reads}
    return layer.op.vjp(layer.attrs, part, reads, Ctx(layer.sig, part))


def ways(layer: Layer, part: str) -> Iterator[tuple[Kernel, Sides]]:
    """The rows that do a part, in each of their formats that this process can run."""
    built = _core.kernel_symbols()
    for row in rows_of(layer.op, part):
        if row.symbol in built and (row.when is None or row.when(layer.attrs, layer.sig)):
            for sides in row.formats:
                if BLOCKED not in sides or _can_block(layer):
                    yield row, sides


def _can_block(layer: Layer) -> bool:
    return _core.channel_block() > 0 and next(iter(layer.sig.ins.values())).rank == 4


class Call:
    """A row's kernel for a part, ready to be run on `values`."""

    def __init__(
        self,
        layer: Layer,
        part: str,
        row: Kernel,
        sides: Sides,
        values: Mapping[str, Array],
        threads: int = 1,
        start: Array | None = None,
        gaps: str = "",
    ) -> None:
        """`start`: what the result is added to; `gaps`: roles that lie apart, sample by sample."""
        self.layer, self.sides, self.threads, self.gaps = layer, sides, threads, gaps
        self.grad = grads(layer)[part]
        self.row, formats = row, Formats(BLOCK)
        own = dict(row.attrs(layer.attrs, layer.sig)) if row.attrs else {}
        self.attrs = own | dict(told_of(sides, formats))
        if start is not None:
            self.attrs["accumulate"] = True
        self.role = f"d{self.grad.out}"
        self.reads = {r: self._place(r, values[r]) for r in self.grad.reads}
        shape = layer.sig[self.grad.out].shape
        self.result = self._place(self.role, np.full(shape, np.nan, np.float32))
        if start is not None:
            self.result[...] = self._place(self.role, start)
            self.reads["addend"] = self.result
        for pack in row.packs:
            self.reads[pack.of] = self._packed(pack, values[pack.of], own)

    def fits(self) -> bool:
        reads, writes = [spec(r) for r in self.reads.values()], [spec(self.result)]
        return _core.kernel_fits(self.row.symbol, reads, writes, self.attrs, self.threads)

    def run(self) -> Array:
        kernel = self.make()
        kernel.run([*self.reads.values()], [self.result], self.threads)
        if self._is_blocked(self.role):
            return plain(self.result, self.layer.sig[self.grad.out].shape[1])
        whole = self.result.base
        assert whole is None or ((whole[:, 0] == GAP).all() and (whole[:, -2:] == GAP).all())
        return np.array(self.result)

    def make(self) -> Any:
        reads, writes = [spec(r) for r in self.reads.values()], [spec(self.result)]
        return _core.make_kernel(self.row.symbol, reads, writes, self.attrs, self.threads)

    def _is_blocked(self, role: str) -> bool:
        sig = self.layer.sig
        own = role if role in sig.ins or role in sig.outs else role[1:]
        if own not in sig.ins and own not in sig.outs:
            return False
        return self.sides[own in sig.outs] == BLOCKED

    def _place(self, role: str, array: Array) -> Array:
        gap = role in self.gaps.split()
        if self._is_blocked(role):
            if np.isnan(array).any():
                return room_for(array.shape, gap=gap)
            return blocked(array, gap=gap)
        made = room(array.shape, gap) if array.ndim > 1 else np.array(array)
        made[...] = array
        return made

    def _packed(self, pack: Pack, array: Array, own: Mapping[str, Any]) -> Array:
        attrs = self.attrs if pack.size is None else {**own, **told_of(self.sides, Formats(BLOCK))}
        if pack.size is None:
            reads = [EMPTY if r == pack.of else spec(a) for r, a in self.reads.items()]
            if not _core.kernel_fits(
                self.row.symbol, reads, [spec(self.result)], attrs, self.threads
            ):
                return np.zeros(0, np.float32)
            kernel = _core.make_kernel(
                self.row.symbol, reads, [spec(self.result)], attrs, self.threads
            )
            size = kernel.packed
        else:
            size = pack.size(self.layer.attrs, self.layer.sig)
        target = np.full(size, np.nan, np.float32)
        kernel = _core.make_kernel(pack.symbol, [spec(array)], [spec(target)], attrs, self.threads)
        kernel.run([array], [target], self.threads)
        return target


def products(layer: Layer, part: str) -> int:
    """How many are in one sum."""
    size = max(1, layer.sig[grads(layer)[part].out].size)
    macs = layer.op.macs(layer.attrs, part, layer.sig)
    tops = sum(layer.sig.outs[role].size for role in layer.sig.tops)
    return max(macs, tops) // size + 1


def agree(layer: Layer, part: str, values: Mapping[str, Array]) -> list[str]:
    """Compare every row that takes the part with the reference: with one thread and with three,
    for the same bits where the row is deterministic; where it can, added to something, or on
    slices of larger operands. Returns the symbols."""
    target = wanted(layer, part, values)
    shape = layer.sig[grads(layer)[part].out].shape
    start = np.random.default_rng(9).standard_normal(shape).astype(np.float32)
    many, found = products(layer, part), []
    for row, sides in ways(layer, part):
        what = f"{layer.op.type} {layer.attrs} {part}: {row.symbol} {sides}"
        made = []
        for threads in THREADS:
            call = Call(layer, part, row, sides, values, threads)
            if row.asks and not call.fits():
                continue
            made.append(call.run())
            close(made[-1], target, what, many)
            again = Call(layer, part, row, sides, values, threads).run()
            assert again.tobytes() == made[-1].tobytes(), what
            if row.adds:
                added = Call(layer, part, row, sides, values, threads, start).run()
                close(added, target + start, f"{what}, added", many)
            if row.strided:
                for gaps in ("dy0", "dx0", "dy0 dx0"):
                    call = Call(layer, part, row, sides, values, threads, gaps=gaps)
                    close(call.run(), target, f"{what}, gaps {gaps}", many)
        if made:
            found.append(row.symbol)
            assert not row.deterministic or made[0].tobytes() == made[-1].tobytes(), what
    return found
