"""work_of: the launches of a Program's call, with operands as its buffers are."""

from __future__ import annotations

from graphc.cuda import Spec, Work, work
from graphc.cuda.launch import Operand
from graphc.cuda.moving import walk
from graphc.program import Buffer, Call, Program

COPY = "copy"
"""The one kernel whose operands may have gaps: it moves what a view could not stand for."""


def work_of(program: Program, call: Call, symbol: str) -> Work:
    """What `symbol`, a raw kernel among the call's variants, launches. Raises GC-A001."""
    reads = [program.buffers[o.buffer] for o in call.reads]
    writes = [program.buffers[o.buffer] for o in call.writes]
    if symbol == COPY and not all(b.is_dense for b in (*reads, *writes)):
        ((source, target),) = zip(reads, writes, strict=True)
        item = spec(source).item
        sides = (Operand(0), 0, source.strides), (Operand(1), 0, target.strides)
        return Work((walk(source.dims, item, *sides),))
    return work(symbol, call.attrs, [*map(spec, reads)], [*map(spec, writes)])


def spec(buffer: Buffer) -> Spec:
    """What a kernel is told of an operand."""
    return Spec(buffer.dtype, buffer.dims)


__all__ = ["COPY", "spec", "work_of"]
