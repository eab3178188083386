"""Prepared: a planned Program in memory, ready to run, with arrays on its buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.ir.types import ITEM_BYTES
from graphc.plan.data import WEIGHTS, Plan
from graphc.program import BufferKind, Call, Program
from graphc.runtime._steps import places_of, steps_of
from graphc.runtime._weights import WeightMemory, memory_of

DTYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "u8": np.uint8}
PARAMS, KEPT, FIRST = 0, 1, 2
"""Region numbers. The plan's arena of what persists is in two pieces: learned parameters, which
stay where they are when the network is planned anew, and the rest. Its other arenas follow."""


class Prepared:
    """Memory and session of one plan.

    Raises GC-M002 where there is no memory for the arenas, GC-A001 for a plan that does not fit
    its Program.
    """

    def __init__(self, program: Program, plan: Plan, weights: WeightMemory, threads: int) -> None:
        self.program, self.plan, self._weights = program, plan, weights
        self._kept, nbytes = _kept_offsets(program)
        sizes = [0 if a.name == WEIGHTS else a.nbytes for a in plan.arenas]
        self.regions = [weights.pages, _core.Pages(nbytes), *map(_core.Pages, sizes)]
        self._memories = [memory_of(pages) for pages in self.regions]
        self.entries = list(plan.entries)
        steps = [steps_of(program, plan, entry, self._locate) for entry in self.entries]
        self.session = _core.Session(self.regions, steps, threads)
        self._places = self._find_places()

    def calls(self, entry: str) -> list[Call]:
        """What the steps of an entry run, in order."""
        first, end = self.plan.entries[entry]
        return [self.program.calls[step.call] for step in self.plan.steps[first:end]]

    def array(self, buffer: int) -> npt.NDArray[Any]:
        """A new array on a buffer's memory, with its strides."""
        found = self.program.buffers[buffer]
        dtype = DTYPES[found.dtype]
        if found.nbytes == 0 or 0 in found.dims:
            return np.empty(found.dims, dtype)
        root, inner = (buffer, 0) if found.view_of is None else found.view_of
        region, offset = self._places[root]
        strides = tuple(s * ITEM_BYTES[found.dtype] for s in found.strides)
        memory = self._memories[region]
        array: npt.NDArray[Any] = np.ndarray(found.dims, dtype, memory, offset + inner, strides)
        return array

    def run(self, entry: str, host: Callable[[int], None], **order: Any) -> None:
        """Run an entry; `host` gets the position of each host step."""
        self.session.run(self.entries.index(entry), host, **order)

    def _locate(self, root: int, arena: int, offset: int) -> tuple[int, int]:
        if self.plan.arenas[arena].name != WEIGHTS:
            return FIRST + arena, offset
        buffer = self.program.buffers[root]
        if buffer.kind in (BufferKind.PARAM, BufferKind.STATE):
            return PARAMS, self._weights.offsets[buffer.name]
        return KEPT, self._kept[root]

    def _find_places(self) -> dict[int, tuple[int, int]]:
        """(region, offset) of every root buffer, as the last step that touches it leaves it."""
        places = {root: self._locate(root, *home) for root, home in self.plan.homes.items()}
        for step in self.plan.steps:
            for operand, place in zip(
                step.operands, places_of(self.program, step, self._locate), strict=True
            ):
                buffer = self.program.buffers[operand.buffer]
                root, inner = (buffer.id, 0) if buffer.view_of is None else buffer.view_of
                if buffer.nbytes:
                    places.setdefault(root, (place[0], place[1] - inner))
        return places


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
