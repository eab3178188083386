"""packed_within: a variant for every call, and where its workspace lies.

A workspace is needed for one step alone. So it need not be packed with the rest: it can go last,
into a gap that the rest leaves at its step, and a call then takes the fastest variant whose
workspace fits there (dynamic workspaces of Wang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.plan.packing import Item, pack_items
from graphc.program import Call, Variant
from graphc.records import record

ALIGN = 64


@record(frozen=True, slots=True)
class Packed:
    """`nbytes`: of the work arena; `offsets`: of the items; `variants`: of each step, as an index
    into its call's; `scratch`: step -> its workspace, if it has one; `spaces`: that one's offset.
    """

    nbytes: int
    offsets: list[int]
    variants: list[int]
    scratch: dict[int, Item]
    spaces: dict[int, int]


def packed_within(calls: Sequence[Call], items: Sequence[Item], room: int | None) -> Packed:
    """Items, and workspaces of the steps that run `calls`, in an arena of at most `room` bytes.

    `room` None: every call has its fastest variant, however large the arena gets. Else, if that is
    over `room`, each has the fastest variant that fits into what the items leave free of it, and
    the smallest one if none does: the arena is then over `room`, but no larger than it must be. A
    larger room never gives a slower variant. Raises GC-M002.
    """
    packed = _together(calls, items, [_chosen(call, _by_time) for call in calls])
    if room is None or packed.nbytes <= room or all(len(call.variants) == 1 for call in calls):
        return packed
    last = _last(calls, items, room)
    if last.nbytes <= room:
        return last
    return min(_together(calls, items, last.variants), last, key=lambda found: found.nbytes)


def smallest_bytes(call: Call) -> int:
    """The workspace that a call cannot do without."""
    if len(call.variants) == 1:
        return call.variants[0].workspace_bytes
    return min((variant.workspace_bytes for variant in call.variants), default=0)


def fastest(call: Call) -> Variant:
    return call.variants[_chosen(call, _by_time)]


def _by_time(variant: Variant) -> tuple[float, int]:
    return variant.est_us, variant.workspace_bytes


def _by_size(variant: Variant) -> tuple[float, float]:
    return variant.workspace_bytes, variant.est_us


def _chosen(call: Call, key: Callable[[Variant], tuple[float, float]]) -> int:
    if len(call.variants) == 1:
        return 0
    return min(range(len(call.variants)), key=lambda index: key(call.variants[index]))


def _scratch(calls: Sequence[Call], variants: Sequence[int]) -> dict[int, Item]:
    sizes = (c.variants[v].workspace_bytes for c, v in zip(calls, variants, strict=True))
    return {step: Item(step, step, size, ALIGN) for step, size in enumerate(sizes) if size}


def _together(calls: Sequence[Call], items: Sequence[Item], variants: list[int]) -> Packed:
    """Items and workspaces packed alike."""
    scratch = _scratch(calls, variants)
    nbytes, offsets = pack_items([*items, *scratch.values()])
    spaces = dict(zip(scratch, offsets[len(items) :], strict=True))
    return Packed(nbytes, offsets[: len(items)], variants, scratch, spaces)


def _last(calls: Sequence[Call], items: Sequence[Item], room: int) -> Packed:
    """Items first; then, step by step, the fastest variant whose workspace fits into a gap."""
    nbytes, offsets = pack_items(items)
    room, end = max(room, nbytes), nbytes
    table = np.array([(i.first, i.last, i.nbytes) for i in items], np.int64).reshape(-1, 3)
    first, last, size = table.T
    starts = np.array(offsets, np.int64)
    variants, spaces = [], {}
    for step, call in enumerate(calls):
        ranked = sorted(range(len(call.variants)), key=lambda v: _by_time(call.variants[v]))
        if not any(call.variants[index].workspace_bytes for index in ranked):
            variants.append(ranked[0])
            continue
        alive = (first <= step) & (last >= step) & (size > 0)
        gaps = _gaps(starts[alive], size[alive])
        for index in [*ranked, _chosen(call, _by_size)]:
            needs = call.variants[index].workspace_bytes
            start = next(begin for begin, free in gaps if free is None or free >= needs)
            if start + needs <= room:
                break
        variants.append(index)
        if needs:
            spaces[step] = start
            end = max(end, start + needs)
    return Packed(end, offsets, variants, _scratch(calls, variants), spaces)


def _gaps(starts: np.ndarray, sizes: np.ndarray) -> list[tuple[int, int | None]]:
    """(begin, bytes) of what lies between ranges, tightest first, then what is behind them all."""
    order = np.argsort(starts, kind="stable")
    found, end = [], 0
    for start, size in zip(starts[order].tolist(), sizes[order].tolist(), strict=True):
        if start > end:
            found.append((start - end, end))
        end = max(end, -(-(start + size) // ALIGN) * ALIGN)
    return [*((begin, free) for free, begin in sorted(found)), (end, None)]


__all__ = ["Packed", "fastest", "packed_within", "smallest_bytes"]
