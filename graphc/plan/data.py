"""Plan: a Program with places. Plain frozen data, free of layer types; `text.py` is its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from graphc.records import record

WEIGHTS, WORK, HOST_POOL = "weights", "work", "host"
"""Names of the arenas: what persists from run to run, all else, and what is sent to the host."""


class StepKind(Enum):
    RUN = "run"  # a call
    OUT = "out"  # a buffer's bytes to the host
    IN = "in"  # and back


@record(frozen=True, slots=True)
class Place:
    """Where a version of a buffer is: byte `offset` of arena number `arena`. For a view it is where
    the view's first element is."""

    buffer: int
    version: int
    arena: int
    offset: int


@record(frozen=True, slots=True)
class Step:
    """One call, or one transfer (`call` -1; operands: where from, where to).

    `instance`: 0 for a call's first run, k for its k-th replay. `variant`: index into the call's.
    `operands`: its reads, then its writes, in the call's order. `workspace`: (arena, offset) of the
    bytes the variant asks for. `samples`: the call's range of the batch, None for all of it.
    `waits`: events that must be over; `records`: the event that this step's end is.
    """

    kind: StepKind
    call: int
    operands: tuple[Place, ...]
    instance: int = 0
    variant: int = 0
    workspace: tuple[int, int] | None = None
    samples: tuple[int, int] | None = None
    stream: int = 0
    waits: tuple[int, ...] = ()
    records: int | None = None


@record(frozen=True, slots=True)
class Arena:
    """One range of memory; `is_host`: it is the host's, not the device's."""

    name: str
    nbytes: int
    is_host: bool = False


@record(frozen=True, slots=True)
class Owner:
    """What makes the peak: the step, its call's name and part, and the buffers alive there in the
    work arena, as (name, kind, bytes), largest first; buffers that share bytes are one."""

    step: int
    name: str
    part: str
    buffers: tuple[tuple[str, str, int], ...]


@record(frozen=True, slots=True)
class Plan:
    """`entries`: name -> its steps as (first, past the last). `homes`: root buffer -> its place at
    the ends of entries: weights, what the caller fills before, what is kept after.

    `breakdown`: what the device bytes are for, by BufferKind's value, "workspace" and "unused"
    (gaps); of the work arena at its fullest step, `owner`. `live`: bytes of the work arena that
    each step needs, and after the last, if its entry has no steps, that one's inputs. `op_bound`:
    what no plan's work arena can be under that runs these calls.
    """

    target: str
    steps: tuple[Step, ...]
    entries: Mapping[str, tuple[int, int]]
    arenas: tuple[Arena, ...]
    homes: Mapping[int, tuple[int, int]]
    breakdown: Mapping[str, int]
    live: tuple[int, ...]
    op_bound: int
    est_us: float
    owner: Owner | None = None

    @property
    def peak_bytes(self) -> int:
        """All device arenas together: what a memory budget limits."""
        return sum(arena.nbytes for arena in self.arenas if not arena.is_host)

    @property
    def live_bound(self) -> int:
        """What the work arena of no plan with these steps can be under."""
        return max(self.live, default=0)

    @property
    def host_bytes(self) -> int:
        return sum(arena.nbytes for arena in self.arenas if arena.is_host)

    @property
    def work_bytes(self) -> int:
        """The arena of all that does not persist."""
        return sum(arena.nbytes for arena in self.arenas if arena.name == WORK)


__all__ = ["HOST_POOL", "WEIGHTS", "WORK", "Arena", "Owner", "Place", "Plan", "Step", "StepKind"]
