"""Instances: a Program's buffers and calls, and those of further instances of them.

A buffer that is made again, or comes back from the host, is a buffer of its own from then on; calls
are told which of these they use.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.program import PERSISTENT, Buffer, BufferKind, Call, Operand, Program


class Instances:
    """`buffers`, `calls`: the Program's, and what is added; `origin[buffer]`: the Program's buffer
    that it is an instance of."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.buffers, self.calls = list(program.buffers), list(program.calls)
        self.origin = [buffer.id for buffer in program.buffers]
        self._views: dict[tuple[int, int], int] = {}

    def add(self, root: int) -> int:
        """A new instance of a root buffer; what persists does so only where it has its home."""
        b = self.program.buffers[root]
        return self._added(b, BufferKind.ACT if b.kind in PERSISTENT else b.kind, None)

    def call(
        self, call: Call, index: int, reads: Mapping[int, int], writes: Mapping[int, int]
    ) -> Call:
        """A call of the Program, as number `index`, that uses instances, by root, instead."""
        return Call(
            index,
            call.name,
            call.node,
            call.part,
            call.variants,
            tuple(self._operand(operand, reads) for operand in call.reads),
            tuple(self._operand(operand, writes) for operand in call.writes),
            call.may_overwrite,
            call.effects,
            call.batch_axis,
            call.attrs,
            call.samples,
        )

    def done(
        self, entries: Mapping[str, tuple[int, ...]], lasting: frozenset[int] | None = None
    ) -> Program:
        """The Program of all that is here; `lasting` None: what it was."""
        program = self.program
        return Program(
            program.target,
            tuple(self.buffers),
            tuple(self.calls),
            entries,
            program.inputs,
            program.outputs,
            program.kept,
            program.lasting if lasting is None else lasting,
            program.values,
            program.seeds,
            program.link,
        )

    def _operand(self, operand: Operand, instances: Mapping[int, int]) -> Operand:
        b = self.program.buffers[operand.buffer]
        root, start = b.view_of or (b.id, 0)
        instance = instances.get(root)
        if instance is None:
            return operand
        if b.view_of is None:
            return Operand(operand.role, instance, operand.version)
        key = operand.buffer, instance
        if key not in self._views:
            self._views[key] = self._added(b, b.kind, (instance, start))
        return Operand(operand.role, self._views[key], operand.version)

    def _added(self, b: Buffer, kind: BufferKind, view_of: tuple[int, int] | None) -> int:
        made = len(self.buffers)
        self.buffers.append(
            Buffer(made, b.name, kind, b.dtype, b.dims, b.strides, b.nbytes, b.align, view_of)
        )
        self.origin.append(b.id)
        return made


__all__ = ["Instances"]
