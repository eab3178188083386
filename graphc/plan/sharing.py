"""share_in_place: which root buffers share bytes because one call overwrites what it reads last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from graphc.ir.types import ITEM_BYTES
from graphc.plan.lifetimes import Lifetime, Schedule, roots_of
from graphc.program import PERSISTENT, Buffer, Call, Operand, Program


def share_in_place(
    program: Program, schedule: Schedule, lives: Mapping[int, Lifetime]
) -> dict[int, int]:
    """Root buffer -> the first root of its chain (itself if alone); lives of a chain touch, in the
    steps that overwrite.

    A pair shares if the call may do it, both fill their whole roots alike, nobody reads the old
    value later, and it is neither the caller's (inputs, seeds) nor kept.
    """
    chain = {root: root for root in lives}
    overwritten: set[int] = set()
    roots = roots_of(program)
    for step, call in enumerate(schedule.calls):
        for made, read in _pairs(call) if call.may_overwrite else ():
            new, old = roots[made.buffer], roots[read.buffer]
            if new not in lives or old not in lives:
                continue
            begun, life = lives[new], lives[old]
            if begun.first != step or chain[new] != new or begun.given:
                continue
            if life.last != step or life.given or life.kept or old in overwritten:
                continue
            if _may_share(program, call, made, read):
                chain[new] = chain[old]
                overwritten.add(old)
    return chain


def may_share(program: Program, call: Call) -> Iterator[tuple[int, int]]:
    """(root it makes, root it reads) of a call's pairs that could share bytes, if nobody else
    needed the latter."""
    for made, read in _pairs(call) if call.may_overwrite else ():
        if _may_share(program, call, made, read):
            yield program.root(made.buffer).id, program.root(read.buffer).id


def _may_share(program: Program, call: Call, made: Operand, read: Operand) -> bool:
    new, old = program.root(made.buffer), program.root(read.buffer)
    if new is old or new.kind in PERSISTENT or old.kind in PERSISTENT:
        return False
    return _alike(program, made, read) and not _read_otherwise(program, call, made, old)


def _pairs(call: Call) -> Iterator[tuple[Operand, Operand]]:
    for made, read in call.may_overwrite:
        writes = [operand for operand in call.writes if operand.role == made]
        reads = [operand for operand in call.reads if operand.role == read]
        if writes and reads:
            yield writes[-1], reads[-1]


def _alike(program: Program, made: Operand, read: Operand) -> bool:
    """Do both operands fill their roots, these of equal size, with elements in equal places?"""
    new, old = program.buffers[made.buffer], program.buffers[read.buffer]
    if (
        new.view_of is None
        and old.view_of is None
        and (new.strides, new.dims, new.nbytes)
        == (
            old.strides,
            old.dims,
            old.nbytes,
        )
    ):
        return new.nbytes > 0 and ITEM_BYTES[new.dtype] == ITEM_BYTES[old.dtype]
    roots = program.root(new.id), program.root(old.id)
    if roots[0].nbytes != roots[1].nbytes or not roots[0].nbytes:
        return False
    if not (_fills(new, roots[0]) and _fills(old, roots[1])):
        return False
    if ITEM_BYTES[new.dtype] != ITEM_BYTES[old.dtype]:
        return False
    same = (new.dims, new.strides) == (old.dims, old.strides)
    return same or (is_dense(new) and is_dense(old) and math.prod(new.dims) == math.prod(old.dims))


def _fills(buffer: Buffer, root: Buffer) -> bool:
    if buffer is root:
        return True
    offset = buffer.view_of[1] if buffer.view_of is not None else 0
    return offset == 0 and math.prod(buffer.dims) == math.prod(root.dims)


def _read_otherwise(program: Program, call: Call, made: Operand, old: Buffer) -> bool:
    """Does the call read the old root under a role that may not share with what it makes?"""
    for operand in call.reads:
        if program.root(operand.buffer) is old and (made.role, operand.role) not in (
            call.may_overwrite
        ):
            return True
    return False


def is_dense(buffer: Buffer) -> bool:
    """Row-major without gaps."""
    step = 1
    for dim, stride in zip(reversed(buffer.dims), reversed(buffer.strides), strict=True):
        if dim > 1 and stride != step:
            return False
        step *= dim
    return True


__all__ = ["is_dense", "may_share", "share_in_place"]
