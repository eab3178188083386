"""Steps: what the C++ session is told of a Program and its Plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc import _core
from graphc.program import HOST, Buffer, Call, Operand, Program

Locate = Callable[[int], tuple[int, int]]
"""Region number and byte offset of a root buffer, by its id."""


def place_of(program: Program, buffer: int, locate: Locate) -> _core.Place:
    """(region, offset, bytes) of a buffer, a view's within its root."""
    found = program.buffers[buffer]
    root, inner = (buffer, 0) if found.view_of is None else found.view_of
    region, offset = locate(root)
    return region, offset + inner, found.nbytes


def spec_of(buffer: Buffer) -> _core.Spec:
    return buffer.dtype, buffer.dims, buffer.strides


def step_of(
    program: Program,
    call: Call,
    variant: int,
    workspace: _core.Place,
    locate: Locate,
    poison: tuple[Sequence[_core.Place], Sequence[_core.Place]] = ((), ()),
) -> _core.Step:
    """The prepared form of one call. A host step has no operands there: Python sees them itself."""
    symbol = call.variants[variant].symbol
    is_host = symbol == HOST
    reads: Sequence[Operand] = () if is_host else call.reads
    writes: Sequence[Operand] = () if is_host else call.writes
    return _core.Step(
        name=call.name,
        symbol="" if is_host else symbol,
        reads=[spec_of(program.buffers[o.buffer]) for o in reads],
        writes=[spec_of(program.buffers[o.buffer]) for o in writes],
        attrs=dict(call.attrs),
        read_places=[place_of(program, o.buffer, locate) for o in reads],
        write_places=[place_of(program, o.buffer, locate) for o in writes],
        workspace=workspace,
        poison_before=poison[0],
        poison_after=poison[1],
    )
