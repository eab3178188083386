"""Machine: runs a Program with numpy, on arenas of a plan or on separate arrays, full of NaN.

Before a call reads, what it writes is filled with NaN, but for operands it may overwrite in place;
so a plan that lets a call write over something it needs shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.types import ITEM_BYTES
from graphc.plan.data import Plan
from graphc.program import PERSISTENT, Buffer, Call, Program

DTYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "u8": np.uint8}
POISON = 0xFF  # of float32 four times this is a NaN
Array = np.ndarray
Compute = Callable[[Call, list[Array]], Sequence[Array]]


def mix(call: Call, reads: list[Array], shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Made-up results that depend on every element read and on its position."""
    made = []
    for number, shape in enumerate(shapes):
        total = np.full(shape, 0.25 * call.id + number, np.float64)
        for weight, read in enumerate(reads, start=2):
            if read.size:
                total += (weight + number) * np.resize(read, shape)
        made.append(np.fmod(total, 251.0))
    return made


class Machine:
    """`compute(call, reads)` gives the written arrays; by default it makes them up. Without a plan
    every root buffer has an array of its own. `given`: arrays of inputs, seeds, what persists."""

    def __init__(
        self,
        program: Program,
        plan: Plan | None = None,
        given: Mapping[int, Array] | None = None,
        compute: Compute | None = None,
    ) -> None:
        self.program, self.plan = program, plan
        self.compute = compute
        self.given = dict(given if given is not None else make_given(program))
        sizes = [a.nbytes for a in plan.arenas] if plan else [b.nbytes for b in program.buffers]
        self.arenas = [np.full(size, POISON, np.uint8) for size in sizes]
        self.results: dict[int, Array] = {}

    def run(self) -> dict[int, Array]:
        """What is kept, as each entry leaves it, and what persists, by buffer."""
        program = self.program
        order = ("prepare", "forward", "backward", "update")
        self._fill([b.id for b in program.buffers if self._persists(b)])
        last = self._last_entries()
        with np.errstate(all="ignore"):
            for entry in sorted(program.entries, key=order.index):
                tables = {"forward": program.inputs, "backward": program.seeds}
                self._fill(tables.get(entry, {}).values())
                self._run_entry(entry)
                for buffer in program.kept:
                    if last.get(program.root(buffer).id) == entry:
                        self.results[buffer] = self._home(buffer).copy()
        for buffer in program.buffers:
            is_kept = buffer.id in program.kept and program.root(buffer.id).kind in PERSISTENT
            if self._persists(buffer) or is_kept:
                self.results[buffer.id] = self._home(buffer.id).copy()
        return self.results

    def _persists(self, buffer: Buffer) -> bool:
        return buffer.kind in PERSISTENT and buffer.view_of is None

    def _last_entries(self) -> dict[int, str]:
        program, last = self.program, {}
        for entry in ("prepare", "forward", "backward", "update"):
            for buffer in {"forward": program.inputs, "backward": program.seeds}.get(
                entry, {}
            ).values():
                last[program.root(buffer).id] = entry
            for index in program.entries.get(entry, ()):
                for operand in program.calls[index].writes:
                    last[program.root(operand.buffer).id] = entry
        return last

    def _fill(self, buffers: Any) -> None:
        for buffer in buffers:
            self._home(buffer)[...] = self.given[buffer]

    def _home(self, buffer: int) -> Array:
        root = self.program.root(buffer).id
        arena, offset = self.plan.homes[root] if self.plan else (root, 0)
        view_of = self.program.buffers[buffer].view_of
        return self._view(buffer, arena, offset + (view_of[1] if view_of else 0))

    def _view(self, buffer: int, arena: int, offset: int) -> Array:
        found = self.program.buffers[buffer]
        dtype = DTYPES[found.dtype]
        if 0 in found.dims:
            return np.empty(found.dims, dtype)
        strides = tuple(s * ITEM_BYTES[found.dtype] for s in found.strides)
        if offset < 0:
            raise IndexError("before the arena")
        return np.ndarray(found.dims, dtype, self.arenas[arena], offset, strides)

    def _run_entry(self, entry: str) -> None:
        if self.plan is None:
            for index in self.program.entries[entry]:
                call = self.program.calls[index]
                places = []
                for operand in (*call.reads, *call.writes):
                    root, start = self.program.buffers[operand.buffer].view_of or (
                        operand.buffer,
                        0,
                    )
                    places.append((operand.buffer, root, start))
                self._call(call, places, None)
            return
        for step in self.plan.steps[slice(*self.plan.entries[entry])]:
            call = self.program.calls[step.call]
            places = [(p.buffer, p.arena, p.offset) for p in step.operands]
            self._call(call, places, (step.workspace, call.variants[step.variant].workspace_bytes))

    def _call(
        self, call: Call, places: Any, workspace: Any, seen: Sequence[Array] | None = None
    ) -> None:
        """`seen`: what it reads, None: what is there now."""
        views = [self._view(*place) for place in places]
        reads, writes = views[: len(call.reads)], views[len(call.reads) :]
        if workspace is not None and workspace[0] is not None:
            (arena, start), nbytes = workspace
            if start + nbytes > self.arenas[arena].size:
                raise IndexError("workspace beyond the arena")
            self.arenas[arena][start : start + nbytes] = POISON
        addresses = {o.role: p[1:] for o, p in zip(call.reads, places, strict=False)}
        for operand, view, place in zip(call.writes, writes, places[len(reads) :], strict=True):
            paired = [r for w, r in call.may_overwrite if w == operand.role]
            if not any(addresses[role] == tuple(place[1:]) for role in paired):
                view.view(np.uint8 if view.dtype == np.uint8 else view.dtype)[...] = _poison(view)
        copies = [np.array(view) for view in reads] if seen is None else list(seen)
        if self.compute is not None:
            made = self.compute(call, copies)
        else:
            made = mix(call, [c.astype(np.float64) for c in copies], [v.shape for v in writes])
        for view, array in zip(writes, made, strict=True):
            view[...] = np.asarray(array).reshape(view.shape)


def _poison(view: Array) -> Any:
    return np.frombuffer(bytes([POISON] * view.itemsize), view.dtype)[0]


def make_given(program: Program, seed: int = 0) -> dict[int, Array]:
    """Random arrays for what is there before an entry."""
    rng = np.random.default_rng(seed)
    roots = [b.id for b in program.buffers if b.kind in PERSISTENT and b.view_of is None]
    given = {}
    for buffer in (*roots, *program.inputs.values(), *program.seeds.values()):
        given[buffer] = rng.integers(0, 200, program.buffers[buffer].dims).astype(np.float64)
    return given


def same(a: Mapping[int, Array], b: Mapping[int, Array]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)
