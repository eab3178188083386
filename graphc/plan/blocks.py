"""blocks_of: the chain of blocks that a forward falls into, and whose each call of the backward is.

Where one large activation alone passes from what came before to what comes after (an articulation),
the forward is cut.
"""

from __future__ import annotations

from itertools import pairwise

from graphc.plan.segments import Segments
from graphc.plan.tables import Tables
from graphc.records import record

MOST = 110
"""Blocks from which on some cuts are left out."""
SHORT = 0.3
"""Of many blocks, those that take less than this part of the average are joined to the one before.
"""


@record(frozen=True, slots=True)
class Blocks:
    """`block_of[position]`: of calls of the forward and of the backward, -1 for none; `outs`: by
    block, the number of the root that passes to the next one, -1 for the last."""

    block_of: list[int]
    outs: list[int]


def blocks_of(tables: Tables, segments: Segments) -> Blocks:
    """A forward without cuts is one block."""
    facts = tables.facts
    at: dict[int, int] = {}
    for place, root in segments.cuts:
        if place + 1 < len(facts.forward):
            at.setdefault(root, place)
    cuts = sorted((place, root) for root, place in at.items())
    cuts = _fewer(segments, cuts)
    block_of, names = [-1] * len(tables.calls), dict[str, int]()
    made: dict[int, int] = {}
    block = 0
    for place, index in enumerate(facts.forward):
        while block < len(cuts) and place > cuts[block][0]:
            block += 1
        block_of[tables.position[index]] = block
        names[facts.program.calls[index].name] = block
        for root in facts.writes[index]:
            made[root] = block
    later = set(facts.program.entries.get("backward", ()))
    for index in facts.later:
        if index in later:
            block_of[tables.position[index]] = _owner(tables, index, names, made, len(cuts))
    return Blocks(block_of, [*(tables.number[root] for _, root in cuts), -1])


def _owner(
    tables: Tables, index: int, names: dict[str, int], made: dict[int, int], last: int
) -> int:
    """The block whose backward a call is part of: its namesake's, else that of a reader of what it
    reads; -1: that of the calls after it."""
    facts = tables.facts
    name = facts.program.calls[index].name
    if name in names:
        return names[name]
    found = [made[r] for r in facts.reads[index] if r in made and r in facts.wanted]
    return min(max(found) + 1, last) if found else -1


def _fewer(segments: Segments, cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of many cuts, those that the longest blocks lie between; of these, so few that each block is
    about as large as the others."""
    if len(cuts) <= MOST:
        return cuts
    facts, buffers = segments.facts, segments.facts.program.buffers
    places = [place for place, _ in cuts]
    parts = [
        facts.forward[start + 1 : past + 1]
        for start, past in pairwise([-1, *places, len(facts.forward)])
    ]
    us = [sum(facts.us[call] for call in part) for part in parts]
    least = SHORT * sum(us) / len(us)
    joined: list[list[int]] = []
    kept: list[tuple[int, int]] = []
    for number, part in enumerate(parts):
        if joined and us[number] < least:
            joined[-1] += part
            kept[-1:] = cuts[number : number + 1]
        else:
            joined.append(list(part))
            kept += cuts[number : number + 1]
    if len(kept) <= MOST:
        return kept
    chosen, total = [], 0.0
    new = [
        sum(buffers[r].nbytes for r in {r for c in part for r in facts.writes[c]} & facts.wanted)
        for part in joined
    ]
    for cut, nbytes in zip(kept, new, strict=False):
        total += nbytes
        if total >= sum(new) / MOST:
            chosen.append(cut)
            total = 0.0
    return chosen


__all__ = ["Blocks", "blocks_of"]
