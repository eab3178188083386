"""Prepared: a planned Program in memory, ready to run, with arrays on its buffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.ir.types import ITEM_BYTES
from graphc.program import HOST, BufferKind, Call, Program
from graphc.runtime._poison import poison_ranges
from graphc.runtime._steps import place_of, step_of
from graphc.runtime._weights import WeightMemory

DTYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "u8": np.uint8}
WEIGHTS, ARENA = 0, 1
"""Region numbers: parameters, which outlive a plan; all the rest."""
LINE = 64


@dataclass
class Placement:
    """`offsets`: of every root buffer outside the weights, in bytes; `workspaces`: by call;
    `order`: the calls of each entry."""

    nbytes: int
    offsets: dict[int, int]
    workspaces: dict[int, int] = field(default_factory=dict)
    order: dict[str, tuple[int, ...]] = field(default_factory=dict)


def unplanned(program: Program) -> Placement:
    """A place of its own for every buffer and workspace."""
    end, placement = 0, Placement(0, {}, order=dict(program.entries))
    for buffer in program.buffers:
        if buffer.view_of is None and buffer.kind not in (BufferKind.PARAM, BufferKind.STATE):
            placement.offsets[buffer.id] = end
            end += -(-buffer.nbytes // LINE) * LINE
    for call in program.calls:
        placement.workspaces[call.id] = end
        end += -(-call.variants[0].workspace_bytes // LINE) * LINE
    placement.nbytes = end
    return placement


class Prepared:
    """Memory and session of one plan. `calls`: those of each entry, in the order they run.

    Raises GC-M002 where there is no memory for the arena, GC-A001 for a plan that does not fit its
    Program.
    """

    def __init__(
        self, program: Program, placement: Placement, weights: WeightMemory, threads: int
    ) -> None:
        self.program = program
        self.placement = placement
        self.weights = weights
        self.regions = [weights.pages, _core.Pages(placement.nbytes)]
        self.entries = list(placement.order)
        self.calls = {e: [program.calls[i] for i in ids] for e, ids in placement.order.items()}
        steps = [self._steps(calls) for calls in self.calls.values()]
        self.session = _core.Session(self.regions, steps, threads)

    def array(self, buffer: int) -> npt.NDArray[Any]:
        """A new array on a buffer's memory, with its strides."""
        found = self.program.buffers[buffer]
        dtype = DTYPES[found.dtype]
        if found.nbytes == 0:
            return np.empty(found.dims, dtype)
        region, offset, _ = place_of(self.program, buffer, self._locate)
        strides = tuple(s * ITEM_BYTES[found.dtype] for s in found.strides)
        memory = memoryview(self.regions[region])
        array: npt.NDArray[Any] = np.ndarray(found.dims, dtype, memory, offset, strides)
        return array

    def run(self, entry: str, host: Callable[[int], None], **order: Any) -> None:
        """Run an entry; `host` gets the position of each host step."""
        self.session.run(self.entries.index(entry), host, **order)

    def _locate(self, root: int) -> tuple[int, int]:
        buffer = self.program.buffers[root]
        if buffer.kind in (BufferKind.PARAM, BufferKind.STATE):
            return WEIGHTS, self.weights.offsets[buffer.name]
        return ARENA, self.placement.offsets[root]

    def _steps(self, calls: Sequence[Call]) -> list[_core.Step]:
        poison = poison_ranges(self.program, calls, self._locate)
        steps = []
        for call, ranges in zip(calls, poison, strict=True):
            size = call.variants[0].workspace_bytes
            workspace = (ARENA, self.placement.workspaces.get(call.id, 0) if size else 0, size)
            steps.append(step_of(self.program, call, 0, workspace, self._locate, ranges))
        return steps


def is_host(call: Call) -> bool:
    return call.variants[0].symbol == HOST
