"""Problem: one kernel and all it is told, before buffers exist: what is asked, timed, looked up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from graphc import _core
from graphc.ir.graph import Value, typed
from graphc.ir.op import Kind
from graphc.lower._draft import Draft
from graphc.lower._formats import Formats
from graphc.ops.kernel import BLOCKED, PLAIN, Kernel, Sides
from graphc.program import Attrs
from graphc.records import record

Shape = tuple[str, tuple[int, ...]]
"""(dtype, dims in memory), dense."""
UNPACKED: Shape = ("f32", (0,))
"""Stands for a packed operand whose size only the kernel knows."""


@record(frozen=True)
class Problem:
    """`reads` and `writes` in the kernel's order; `attrs` sorted by name; `weights`: which of the
    reads are a layer's own, so that other layers have come between one use and the next."""

    symbol: str
    reads: tuple[Shape, ...]
    writes: tuple[Shape, ...]
    attrs: tuple[tuple[str, Any], ...]
    weights: tuple[int, ...] = ()

    @cached_property
    def key(self) -> str:
        """A text that is equal for equal problems alone."""
        sides = (
            " ".join(f"{dtype}{'x'.join(map(str, dims))}" for dtype, dims in side)
            for side in (self.reads, self.writes)
        )
        told = " ".join(f"{name}={value}" for name, value in self.attrs)
        return " | ".join((self.symbol, *sides, told))

    @property
    def specs(self) -> tuple[list[_core.Spec], list[_core.Spec]]:
        """Reads and writes as the core is told of them."""
        return [(*shape, None) for shape in self.reads], [(*shape, None) for shape in self.writes]


def problem_of(
    draft: Draft,
    row: Kernel,
    sides: Sides,
    attrs: Mapping[str, Any],
    formats: Formats,
    packed: Mapping[str, int],
) -> Problem:
    """What `row` is told for the draft, if its operands are dense; `packed`: elements of those that
    are, 0 where only the kernel knows."""

    def shape(role: str, value: Value) -> Shape:
        if role in packed:
            return "f32", (packed[role],)
        blocked = sides[role in draft.tops] == BLOCKED and formats.can_block(value)
        return typed(value).dtype, formats.dims(value, blocked)

    reads = tuple(shape(role, v) for role, v in draft.reads)
    writes = tuple(shape(role, v) for role, v in draft.writes)
    weights = tuple(i for i, (_, value) in enumerate(draft.reads) if value.kind is not Kind.ACT)
    return Problem(row.symbol, reads, writes, tuple(sorted(attrs.items())), weights)


def told_of(sides: Sides, formats: Formats) -> Attrs:
    """What kernels are told of blocked operands."""
    if BLOCKED not in sides:
        return {}
    return {"block": formats.block, "plain": sides[0] == PLAIN}


__all__ = ["UNPACKED", "Problem", "problem_of", "told_of"]
