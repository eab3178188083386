"""Prepared: a planned Program in memory, ready to run, with arrays on its buffers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from graphc import _core
from graphc.errors import fail
from graphc.floats import Floats, Held, as_array
from graphc.ir.types import ITEM_BYTES
from graphc.numpy_later import np, npt
from graphc.plan.data import WEIGHTS, WORK, Arena, Plan
from graphc.program import PERSISTENT, BufferKind, Call, Program
from graphc.runtime._host_pool import host_pages
from graphc.runtime._steps import LEARNED, places_of, steps_of
from graphc.runtime._weights import WeightMemory, memory_of

DTYPES = {"f32": "float32", "i64": "int64", "i32": "int32", "u8": "uint8"}
PARAMS, KEPT, FIRST = 0, 1, 2
"""Region numbers. The plan's arena of what persists is in two pieces: learned parameters, which
stay where they are when the network is planned anew, and the rest. Its other arenas follow."""


class Prepared:
    """Memory and session of one plan. `own_bytes`: of it, without learned parameters and what
    somebody else has lent.

    Raises GC-M002 where there is no memory for the arenas, GC-A001 for a plan that does not fit
    its Program.
    """

    def __init__(self, program: Program, plan: Plan, weights: WeightMemory, threads: int) -> None:
        self.program, self.plan, self._weights = program, plan, weights
        self._kept, nbytes = _kept_offsets(program)
        arenas = _arenas(plan.arenas, weights.arenas)
        self.regions = [weights.pages, _core.Pages(nbytes), *arenas]
        lent = {id(pages) for pages in weights.arenas}
        own = [
            arena.nbytes
            for arena, pages in zip(plan.arenas, arenas, strict=True)
            if not arena.is_host and arena.name != WEIGHTS and id(pages) not in lent
        ]
        self.own_bytes = nbytes + sum(own)
        self._memories = [memory_of(pages) for pages in self.regions]
        self.entries = list(plan.entries)
        self._threads, self._poisoned = threads, False
        self.session = self._make_session()
        self._homes = {root: self._locate(root, *home) for root, home in plan.homes.items()}
        self._calls: dict[str, list[Call | None]] = {}
        self._kinds: dict[int, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._arrays: dict[int, npt.NDArray[Any]] = {}
        self._numbers = {name: at for at, name in enumerate(self.entries)}

    def calls(self, entry: str) -> list[Call | None]:
        """What the steps of an entry run, in order; None for a transfer."""
        found = self._calls.get(entry)
        if found is None:
            first, end = self.plan.entries[entry]
            steps = self.plan.steps[first:end]
            found = [None if step.call < 0 else self.program.calls[step.call] for step in steps]
            self._calls[entry] = found
        return found

    def array(self, buffer: int) -> npt.NDArray[Any]:
        """The array on the memory of a buffer that has a home, with its strides."""
        found = self._arrays.get(buffer)
        if found is None:
            root, inner = self.program.buffers[buffer].view_of or (buffer, 0)
            region, offset = self._homes[root]
            found = self._arrays[buffer] = self._array(buffer, region, offset + inner)
        return found

    def put(self, buffer: int, array: Held) -> None:
        """Fill a buffer that has a home with as many elements."""
        if isinstance(array, Floats):
            memory = self._row(buffer)
            if memory is not None:
                memory[:] = array.numbers.cast("B")
                return
        self.array(buffer)[...] = as_array(array)

    def copy(self, buffer: int) -> Floats | None:
        """What a buffer that has a home holds; None if it is no float32 numbers in a row."""
        memory, dims = self._row(buffer), self.program.buffers[buffer].dims
        return None if memory is None else Floats.over(bytes(memory), dims)

    def _row(self, buffer: int) -> memoryview | None:
        """The bytes of a buffer whose elements are float32 and follow each other."""
        found = self.program.buffers[buffer]
        if found.dtype != "f32" or 0 in found.dims or not found.is_dense:
            return None
        root, inner = found.view_of or (buffer, 0)
        region, offset = self._homes[root]
        start, nbytes = offset + inner, ITEM_BYTES["f32"] * math.prod(found.dims)
        return self._memories[region][start : start + nbytes]

    def operands(self, entry: str, at: int) -> list[npt.NDArray[Any]]:
        """New arrays on what the step at a position of an entry reads, then on what it writes."""
        step = self.plan.steps[self.plan.entries[entry][0] + at]
        places = places_of(self.program, step, self._locate)
        buffers = [place.buffer for place in step.operands]
        return [self._array(b, *place[:2]) for b, place in zip(buffers, places, strict=True)]

    def _array(self, buffer: int, region: int, offset: int) -> npt.NDArray[Any]:
        found = self.program.buffers[buffer]
        known = self._kinds.get(buffer)
        if known is None:
            strides = tuple(stride * ITEM_BYTES[found.dtype] for stride in found.strides)
            known = self._kinds[buffer] = np.dtype(DTYPES[found.dtype]), strides
        dtype, strides = known
        if found.nbytes == 0 or 0 in found.dims:
            return np.empty(found.dims, dtype)
        memory = self._memories[region]
        array: npt.NDArray[Any] = np.ndarray(found.dims, dtype, memory, offset, strides)
        return array

    def run(self, entry: str, host: Callable[[int], None], **order: Any) -> None:
        """Run an entry; `host` gets the position of each host step, `order` is the session's."""
        if order.get("poison") and not self._poisoned:
            self._poisoned = True
            self.session = self._make_session()
        self.session.run(self._numbers[entry], host, **order)

    def _make_session(self) -> _core.Session:
        steps = [
            steps_of(self.program, self.plan, entry, self._locate, poisoned=self._poisoned)
            for entry in self.entries
        ]
        return _core.Session(self.regions, steps, self._threads)

    def _locate(self, root: int, arena: int, offset: int) -> tuple[int, int]:
        """`root` -1: a workspace."""
        persists = root >= 0 and self.program.buffers[root].kind in PERSISTENT
        is_right = persists if self.plan.arenas[arena].name == WEIGHTS else not persists
        if not is_right and not (persists and self._has_home_on_host(root)):
            fail("GC-A001", f"the plan mixes what persists with the rest in arena {arena}")
        if not persists or self.plan.arenas[arena].name == WORK:
            return FIRST + arena, offset
        buffer = self.program.buffers[root]
        if buffer.kind in LEARNED:
            return PARAMS, self._weights.offsets[buffer.name]
        return KEPT, self._kept[root]

    def _has_home_on_host(self, root: int) -> bool:
        """Then it comes to the device for a while."""
        home = self.plan.homes.get(root)
        return home is not None and self.plan.arenas[home[0]].is_host


def _arenas(arenas: Sequence[Arena], free: Sequence[_core.Pages]) -> list[_core.Pages]:
    """Memory for arenas; what is free if it is large enough."""
    found = []
    for arena, pages in zip(arenas, [*free, *[None] * len(arenas)], strict=False):
        nbytes = 0 if arena.name == WEIGHTS else arena.nbytes
        if pages is None or pages.nbytes < nbytes:
            pages = host_pages(nbytes) if arena.is_host else _core.Pages(nbytes)
        found.append(pages)
    return found


def _kept_offsets(program: Program) -> tuple[dict[int, int], int]:
    """Offsets of what persists but is not learned (packed weights, carried states), and the end."""
    offsets: dict[int, int] = {}
    end = 0
    for buffer in program.buffers:
        is_kept = buffer.kind in (BufferKind.PACKED, BufferKind.CARRY, BufferKind.HISTORY)
        if is_kept and buffer.view_of is None:
            offsets[buffer.id] = end
            end += -(-buffer.nbytes // 64) * 64
    return offsets, end


__all__ = ["Prepared"]
