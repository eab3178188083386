"""work_of: the launches of a Program's call, with operands as its buffers are."""

from __future__ import annotations

from graphc.cuda import Spec, Work, work
from graphc.program import Buffer, Call, Program

COPY = "copy"
"""The kernel that moves what a view could not stand for; its operands may have gaps."""


def work_of(program: Program, call: Call, symbol: str) -> Work:
    """What `symbol`, a raw kernel among the call's variants, launches. Raises GC-A001."""
    reads = [spec(program.buffers[o.buffer]) for o in call.reads]
    writes = [spec(program.buffers[o.buffer]) for o in call.writes]
    return work(symbol, call.attrs, reads, writes)


def spec(buffer: Buffer) -> Spec:
    """What a kernel is told of an operand."""
    return Spec(buffer.dtype, buffer.dims, None if buffer.is_dense else buffer.strides)


__all__ = ["COPY", "spec", "work_of"]
