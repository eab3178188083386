"""A cache that evicts what was used least recently, on the trace of a plan's steps."""

from __future__ import annotations

from collections import OrderedDict

from graphc.plan import Plan
from graphc.program import Program


class Cache:
    """`moved`: lines fetched and written back so far. A line that is written as a whole is not
    fetched."""

    def __init__(self, lines: int) -> None:
        self.lines, self.moved = lines, 0
        self.held: OrderedDict[tuple[int, int], bool] = OrderedDict()

    def touch(self, line: tuple[int, int], is_written: bool) -> None:
        dirty = self.held.pop(line, None)
        if dirty is None:
            self.moved += not is_written
            if len(self.held) >= self.lines:
                _, evicted = self.held.popitem(last=False)
                self.moved += evicted
        self.held[line] = bool(dirty) or is_written

    def flush(self) -> None:
        self.moved += sum(self.held.values())
        self.held.clear()


def simulated(program: Program, plan: Plan, entry: str, cache: int, line: int) -> int:
    """Bytes to and from memory if each call reads all of its operands, and then writes.

    Operands begin at whole lines here: what two of them share of a line is noise.
    """
    lru = Cache(cache // line)
    for step in plan.steps[slice(*plan.entries[entry])]:
        call = program.calls[step.call]
        for at, place in enumerate(step.operands):
            first = place.offset // line
            count = max(1, round(program.buffers[place.buffer].nbytes / line))
            for number in range(first, first + count):
                lru.touch((place.arena, number), at >= len(call.reads))
    lru.flush()
    return lru.moved * line


__all__ = ["Cache", "simulated"]
