"""share_in_place: which root buffers share bytes because one call overwrites what it reads last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from graphc.ir.types import ITEM_BYTES
from graphc.plan.lifetimes import Lifetime, Schedule
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
    for step, call in enumerate(schedule.calls):
        for new, old in may_share(program, call):
            if lives[new].first != step or chain[new] != new or lives[new].given:
                continue
            life = lives[old]
            if life.last != step or life.given or life.kept or old in overwritten:
                continue
            chain[new] = chain[old]
            overwritten.add(old)
    return chain


def may_share(program: Program, call: Call) -> Iterator[tuple[int, int]]:
    """(root it makes, root it reads) of a call's pairs that could share bytes, if nobody else
    needed the latter."""
    for made, read in _pairs(call) if call.may_overwrite else ():
        new, old = program.root(made.buffer), program.root(read.buffer)
        if new is old or new.kind in PERSISTENT or old.kind in PERSISTENT:
            continue
        if _alike(program, made, read) and not _read_otherwise(program, call, made, old):
            yield new.id, old.id


def _pairs(call: Call) -> Iterator[tuple[Operand, Operand]]:
    reads = {operand.role: operand for operand in call.reads}
    writes = {operand.role: operand for operand in call.writes}
    for made, read in call.may_overwrite:
        if made in writes and read in reads:
            yield writes[made], reads[read]


def _alike(program: Program, made: Operand, read: Operand) -> bool:
    """Do both operands fill their roots, these of equal size, with elements in equal places?"""
    new, old = program.buffers[made.buffer], program.buffers[read.buffer]
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
    roles = [o.role for o in call.reads if program.root(o.buffer) is old]
    return any((made.role, role) not in call.may_overwrite for role in roles)


def is_dense(buffer: Buffer) -> bool:
    """Row-major without gaps."""
    step = 1
    for dim, stride in zip(reversed(buffer.dims), reversed(buffer.strides), strict=True):
        if dim > 1 and stride != step:
            return False
        step *= dim
    return True


__all__ = ["is_dense", "may_share", "share_in_place"]
