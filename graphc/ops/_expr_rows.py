"""expr_rows, gradient_rows: kernels that compute scalar expressions, whole or summed over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

from graphc.ir.op import Sig
from graphc.ops._program import MAX_OPERANDS, MAX_REGISTERS, Program, encode
from graphc.ops.kernel import BLOCKED, Kernel
from graphc.ops.scalar import Expr
from graphc.ops.spec import Grad, prod
from graphc.records import record
from graphc.rng import layer_word

DRAW = "u"
"""The variable that stands for a uniform draw in [0, 1) per element of x, tag 0."""
ALL, BY_CHANNEL = -1, -2
"""Starts of operands with all axes, and with a number per channel where channels are in blocks."""


@record(frozen=True)
class Body:
    """Expressions by name, where a later one may use an earlier one's name, of operands `reads`.

    `results`: those that are wanted; `starts`: see `Elementwise.starts`; `sig`: of the layer.
    """

    outputs: Mapping[str, Expr]
    reads: tuple[str, ...]
    results: tuple[str, ...]
    starts: Mapping[str, int]
    sig: Sig

    @cached_property
    def program(self) -> Program:
        return encode(self.outputs, self.reads, self.results, DRAW)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the operands which have all axes."""
        return next(iter(self.sig.ins.values())).shape

    def start(self, role: str) -> int:
        """The first axis along which an operand lies; `ALL` if it has all."""
        is_whole = self.sig[role].shape == self.shape
        return ALL if is_whole else self.starts.get(role, ALL)

    @property
    def is_small(self) -> bool:
        """Has the C++ core room for the program?"""
        aside = [r for r in self.reads if r in self.starts or self.sig[r].dtype != "f32"]
        program = self.program
        blocks = len(program.constants) + program.registers + len(aside) + len(self.results)
        return blocks <= MAX_REGISTERS and len(self.reads) <= MAX_OPERANDS

    @property
    def is_flat(self) -> bool:
        """May channels come in blocks? Then no order matters, and operands lie along all axes, that
        of the channels, or none."""
        if len(self.shape) != 4 or self.program.draws:
            return False
        return all(self.sig[r].rank == 0 or self.is_row(r) for r in self.partial)

    @property
    def partial(self) -> list[str]:
        """The operands that lie along some axes alone."""
        return [role for role in self.reads if self.start(role) != ALL]

    def is_row(self, role: str) -> bool:
        """Has the operand one number per channel?"""
        return self.start(role) == 1 and self.sig[role].rank == 1

    def told(self, *, blocked: bool = False) -> dict[str, Any]:
        """What kernel "expr" is told, see csrc/kernels/expr.h."""
        rows = [role for role in self.reads if blocked and self.is_row(role)]
        starts = tuple(BY_CHANNEL if r in rows else self.start(r) for r in self.reads)
        return {**self.code(), "starts": starts}

    def code(self) -> dict[str, Any]:
        program = self.program
        stream: dict[str, int] = {}
        if program.draws:
            stream = {"layer": layer_word(self.sig.name)}
            if self.sig.first_sample:
                stream["first"] = self.sig.first_sample * prod(self.shape[1:])
        return {"code": program.code, "constants": program.constants, **stream}


Bodies: TypeAlias = Callable[[Any, Sig], Body]
IN_BLOCKS = ((BLOCKED, BLOCKED),)


def expr_rows(part: str, body: Bodies) -> tuple[Kernel, ...]:
    """Rows for plain and for blocked operands of a part that computes its body's results.

    With numbers per channel blocks are for training alone, where regions of blocks save reorders of
    gradients, too; a network that only runs folds such layers, or is as fast around plain ones.
    """

    def is_flat(a: Any, s: Sig) -> bool:
        found = body(a, s)
        is_wanted = part != "forward" or s.train or not found.partial
        return is_wanted and found.is_flat and found.is_small

    row = Kernel(
        "cpu",
        part,
        "expr",
        attrs=lambda a, s: body(a, s).told(),
        when=lambda a, s: body(a, s).is_small,
        strided=True,
    )
    blocked = replace(
        row,
        attrs=lambda a, s: body(a, s).told(blocked=True),
        when=is_flat,
        formats=IN_BLOCKS,
        whole=True,
    )
    return row, blocked


def gradient_rows(part: Grad, body: Body, factor: int | None = None) -> tuple[Kernel, ...]:
    """Rows for the gradient of an operand with all axes, or summed to the axes that it has.
    `factor`: the place among the part's reads of one that the body does not read, by which such
    sums are multiplied."""
    if body.start(part.out) == ALL:
        rows = expr_rows(part.part, lambda a, s: body)
        return tuple(replace(row, adds=part.accumulate) for row in rows)
    if not body.reads or body.partial or body.program.draws:
        return ()
    first, rank = body.start(part.out), body.sig[part.out].rank
    cuts = (body.shape[:first], body.shape[first : first + rank], body.shape[first + rank :])
    extents = dict(zip(("outer", "kept", "inner"), map(prod, cuts), strict=True))
    code = body.code() | ({} if factor is None else {"factor": factor})
    row = Kernel(
        "cpu",
        part.part,
        "expr_sum",
        attrs=lambda a, s: code | extents,
        when=lambda a, s: body.is_small,
        adds=part.accumulate,
    )
    blocked = replace(
        row,
        attrs=lambda a, s: code | {"channels": body.shape[1]},
        when=lambda a, s: body.is_row(part.out) and body.is_flat and body.is_small,
        strided=True,
        formats=IN_BLOCKS,
    )
    return row, blocked


__all__ = ["ALL", "BY_CHANNEL", "DRAW", "Body", "expr_rows", "gradient_rows"]
