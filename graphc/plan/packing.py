"""pack_chains: offsets for what lives in the work arena; the policy, of which C++ does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.errors import fail

WORK_BUDGET = 200_000_000
MAX_ROUNDS = 500
MAX_BYTES = 1 << 61
Table = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Item:
    """`nbytes` bytes needed from step `first` to step `last`, both included. `hangs`: kept at the
    end, so that it grows into what others leave, and is better packed from the arena's top."""

    first: int
    last: int
    nbytes: int
    align: int
    hangs: bool = False


def pack_items(items: Sequence[Item], scratch: Sequence[Item] = ()) -> tuple[int, list[int]]:
    """Arena size and offsets, those of `scratch` last.

    Portfolio of orders (longest life first: optimal where lives nest; largest first; largest area
    first), each with best fit; then the best is improved by moving what touches the top forward,
    for a number of rounds that depends on the number of items alone. `scratch` (workspaces, alive
    for a step) goes into what is left. Raises GC-M002 beyond 2^61 bytes.
    """
    every = [*items, *scratch]
    if not every:
        return 0, []
    if sum(item.nbytes + item.align for item in every) > MAX_BYTES:
        fail("GC-M002", "the network's buffers add up to over 2^61 bytes", "use a smaller batch")
    rows = [(i.first, i.last, i.nbytes, i.align, i.hangs) for i in every]
    table = np.array(rows, np.int64)
    last = np.zeros(len(every), np.int64)
    last[len(items) :] = 1
    rounds = min(MAX_ROUNDS, WORK_BUDGET // len(every) ** 2)
    arena, offsets = _core.pack(table, _orders(table, last), max_live(every), rounds)
    return arena, [int(offset) for offset in offsets]


def _orders(table: Table, last: Table) -> list[Table]:
    first, end, size = table.T[:3]
    duration = end - first + 1
    area = -(size.astype(np.float64) * duration)  # only compared, and may be beyond int64
    keys = ((-size, -duration), (-duration, -size), (-size, area))
    return [np.lexsort((*key, last)) for key in keys]


def max_live(items: Sequence[Item]) -> int:
    """The largest sum of bytes needed in one step, which no arena can be under."""
    return max(live_bytes(items, 1 + max((i.last for i in items), default=0)))


def live_bytes(items: Sequence[Item], steps: int) -> list[int]:
    """Bytes needed in each step."""
    change = [0] * (steps + 1)
    for item in items:
        change[item.first] += item.nbytes
        change[item.last + 1] -= item.nbytes
    live, now = [], 0
    for delta in change[:-1]:
        now += delta
        live.append(now)
    return live


__all__ = ["Item", "live_bytes", "max_live", "pack_items"]
