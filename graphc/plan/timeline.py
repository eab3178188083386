"""timeline: bytes that each step of a Program needs, by what they are for."""

from __future__ import annotations

from graphc.plan.lifetimes import Schedule, lifetimes
from graphc.plan.packing import Item, live_bytes
from graphc.plan.sharing import share_in_place
from graphc.program import BufferKind, Program
from graphc.records import record


@record(frozen=True, slots=True)
class Timeline:
    """`bytes_of[kind][step]`; buffers that share bytes count once, as the newest of them."""

    bytes_of: dict[BufferKind, list[int]]

    def most(self, *kinds: BufferKind) -> int:
        """The largest number of bytes that some kinds need together in one step."""
        columns = [self.bytes_of[kind] for kind in kinds if kind in self.bytes_of]
        return max((sum(row) for row in zip(*columns, strict=True)), default=0)


def timeline(program: Program) -> Timeline:
    """What the work arena of a plan that runs every call once must hold, workspaces aside."""
    schedule = Schedule.of(program)
    lives = lifetimes(program, schedule)
    begun: dict[int, list[int]] = {}
    chain = share_in_place(program, schedule, lives)
    for root in sorted(chain, key=lambda root: lives[root].first):
        begun.setdefault(chain[root], []).append(root)
    items: dict[BufferKind, list[Item]] = {}
    for roots in begun.values():
        for root, heir in zip(roots, [*roots[1:], None], strict=True):
            buffer, life = program.buffers[root], lives[root]
            last = life.last if heir is None else lives[heir].first - 1
            if last >= life.first:
                item = Item(life.first, last, buffer.nbytes, buffer.align)
                items.setdefault(buffer.kind, []).append(item)
    steps = max(len(schedule.calls), 1 + max((life.last for life in lives.values()), default=0))
    return Timeline({kind: live_bytes(each, steps) for kind, each in items.items()})


__all__ = ["Timeline", "timeline"]
