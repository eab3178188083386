"""Program: what lowering hands to the planner — buffers, calls, entries. Imports only `ir`.

A Program says what must be computed and which bytes each call touches; it says nothing of
addresses. The Plan (`graphc/plan/`) adds those. Layer types do not appear: a call names kernel
symbols and carries their parameters as plain numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from graphc.ir.op import Effect, Symbol
from graphc.ir.types import DType
from graphc.records import record

Scalar: TypeAlias = "bool | int | float | str"
Attrs: TypeAlias = Mapping[str, "Scalar | tuple[int, ...] | tuple[float, ...]"]


class BufferKind(Symbol):
    """What a buffer is charged to in the plan's breakdown."""

    ACT = "activations"
    PARAM = "weights"
    STATE = "state"
    CARRY = "carry"
    GRAD = "gradients"
    HISTORY = "history"
    PACKED = "packed"
    IO = "io"


PERSISTENT = frozenset(
    {BufferKind.PARAM, BufferKind.STATE, BufferKind.CARRY, BufferKind.HISTORY, BufferKind.PACKED}
)
"""Kinds that keep their bytes from one run to the next."""


@record(frozen=True, slots=True)
class Buffer:
    """`nbytes`: physical size, padding included; `strides` in elements; `align` in bytes.

    `view_of`: (root buffer's id, byte offset); the root is no view itself. A view's strides may
    leave gaps that belong to its siblings (a channel slice of a batch).
    """

    id: int
    name: str
    kind: BufferKind
    dtype: DType
    dims: tuple[int, ...]
    strides: tuple[int, ...]
    nbytes: int
    align: int = 64
    view_of: tuple[int, int] | None = None

    @property
    def is_dense(self) -> bool:
        """Do the elements follow each other?"""
        step = 1
        for dim, stride in zip(reversed(self.dims), reversed(self.strides), strict=True):
            if dim != 1 and stride != step:
                return False
            step *= dim
        return True


@record(frozen=True, slots=True)
class Operand:
    """One buffer as one call sees it. `version` counts the writes to any of the buffer's bytes,
    through whichever view: 0 is what was there before the first entry ran; a call that writes makes
    the next one, in place or not."""

    role: str
    buffer: int
    version: int


@record(frozen=True, slots=True)
class Variant:
    """One kernel that can do a call. All variants of a call share its operands' layouts. `basis`:
    what the estimate rests on."""

    symbol: str
    workspace_bytes: int = 0
    est_us: float = 0.0
    deterministic: bool = True
    basis: str = "roofline"


HOST = "host"
"""The symbol of a call that runs its declaration's float64 reference in Python (slow)."""


@record(frozen=True, slots=True)
class Call:
    """One kernel invocation. `node` is the index of its node in the graph, -1 for none (packing).

    `reads`, `writes`: operands in the kernel's order. `may_overwrite`: (write role, read role)
    pairs that may share bytes, element by element. `batch_axis`: the axis along which samples are
    independent, None if they are not. `attrs`: the kernel's parameters. `samples`: the range of the
    batch that it works on, None for all of it.
    """

    id: int
    name: str
    node: int
    part: str
    variants: tuple[Variant, ...]
    reads: tuple[Operand, ...]
    writes: tuple[Operand, ...]
    may_overwrite: tuple[tuple[str, str], ...] = ()
    effects: frozenset[Effect] = frozenset()
    batch_axis: int | None = None
    attrs: Attrs = field(default_factory=dict)
    samples: tuple[int, int] | None = None


@record(frozen=True, slots=True)
class Link:
    """The way between host and device: one copy after another, each way on its own; a copy takes
    `start_us` and its bytes at `bandwidth` bytes/s. The defaults are those of PCIe 3.0 x16 with
    pinned memory. `basis`: where the figures are from."""

    bandwidth: float = 12e9
    start_us: float = 10.0
    basis: str = "PCIe 3.0 x16"

    def microseconds(self, nbytes: int) -> float:
        return self.start_us + 1e6 * nbytes / self.bandwidth


@record(frozen=True, slots=True)
class Program:
    """`entries`: name -> call ids in order: "prepare" (packing, whenever weights changed),
    "forward", "backward", "update". `inputs`, `outputs`: blob name -> buffer id; `kept`: buffers
    that must hold their value when the entry ends that wrote it, outputs among them; `lasting`:
    those that the last entry must find, or make anew, also when it runs again. `values`: IR
    value name -> buffer id, for those that exist. `seeds`: value name -> buffer of its gradient,
    which whoever runs the Program fills before "backward". `link`: what transfers go over."""

    target: str
    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    entries: Mapping[str, tuple[int, ...]]
    inputs: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, int] = field(default_factory=dict)
    kept: frozenset[int] = frozenset()
    lasting: frozenset[int] = frozenset()
    values: Mapping[str, int] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    link: Link = Link()

    def root(self, buffer: int) -> Buffer:
        """The buffer whose bytes `buffer` lies in (itself, unless it is a view)."""
        found = self.buffers[buffer]
        return self.buffers[found.view_of[0]] if found.view_of is not None else found
