"""Order: are two accesses to the same bytes ordered, whatever the speed of each stream?

For the verifier. Vector clocks (Fidge 1988, Mattern 1989) over the streams; of each range of bytes
the last write and the reads since, as FastTrack (Flanagan and Freund, PLDI 2009) keeps them: all
else was over before that write, or it would have been refused.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from graphc.plan.data import Arena, Plan, Step, StepKind
from graphc.records import record

Touch = tuple[int, int, int, bool]
"""(arena, first byte, past the last, is it written?)."""
Tick = tuple[int, int]
"""(stream, how many of its steps have begun, with this one)."""


@record(slots=True)
class _Stretch:
    """Bytes `start` to `end` with one past: who wrote them last, None for nobody in this entry, and
    the last read since by each stream."""

    start: int
    end: int
    writer: Tick | None
    readers: dict[int, int]


class _History:
    """The stretches of one arena, which do not overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stretches: list[_Stretch] = []

    def before(self, start: int, end: int, is_written: bool) -> Iterator[Tick]:
        """Accesses with which one to these bytes would clash."""
        first = max(0, bisect_right(self._starts, start) - 1)
        for each in self._stretches[first : bisect_left(self._starts, end)]:
            if each.end > start:
                if each.writer is not None:
                    yield each.writer
                if is_written:
                    yield from each.readers.items()

    def add(self, start: int, end: int, is_written: bool, tick: Tick) -> None:
        first, past = self._cut(start), self._cut(end)
        found = self._stretches[first:past]
        made: list[_Stretch] = []
        if is_written:
            made.append(_Stretch(start, end, tick, {}))
        else:
            at = start
            for each in found:
                if at < each.start:
                    made.append(_Stretch(at, each.start, None, {tick[0]: tick[1]}))
                each.readers[tick[0]] = tick[1]
                made.append(each)
                at = each.end
            if at < end:
                made.append(_Stretch(at, end, None, {tick[0]: tick[1]}))
        self._stretches[first:past] = made
        self._starts[first:past] = [each.start for each in made]

    def _cut(self, at: int) -> int:
        """The number of the first stretch that begins at a byte or later, of two where it lies
        within one."""
        past = bisect_left(self._starts, at)
        if past and self._stretches[past - 1].end > at:
            old = self._stretches[past - 1]
            self._starts.insert(past, at)
            self._stretches.insert(past, _Stretch(at, old.end, old.writer, dict(old.readers)))
            old.end = at
        return past


class Order:
    """What is known to be over when a step begins: earlier steps of its stream, what it waits for,
    what those knew, and all of earlier entries, since an entry ends when every stream has."""

    def __init__(self, arenas: Sequence[Arena], refuse: Callable[[str], NoReturn]) -> None:
        self._arenas, self._refuse = arenas, refuse
        self.begin()

    def begin(self) -> None:
        """An entry begins."""
        self._histories = [_History() for _ in self._arenas]
        self._over: dict[int, dict[int, int]] = {}  # stream -> what its next step knows to be over
        self._events: dict[int, dict[int, int]] = {}

    def step(self, step: Step, touched: Sequence[Touch]) -> None:
        """Refuse an access that may come before or during one that it clashes with."""
        over = self._over.setdefault(step.stream, {step.stream: 0})
        for event in step.waits:
            for stream, count in self._events.get(event, {}).items():
                over[stream] = max(over.get(stream, 0), count)
        now = over[step.stream] + 1
        for arena, start, end, is_written in touched:
            for stream, count in self._histories[arena].before(start, end, is_written):
                if over.get(stream, 0) < count:
                    does = "writes" if is_written else "reads"
                    self._refuse(
                        f"{does} bytes {start} to {end} of arena {self._arenas[arena].name!r} "
                        f"without waiting for step {count - 1} of stream {stream} in this entry"
                    )
        for arena, start, end, is_written in touched:
            if start < end:
                tick = step.stream, now
                self._histories[arena].add(start, end, is_written, tick)
        over[step.stream] = now
        if step.records is not None:
            self._events[step.records] = dict(over)


def has_streams(plan: Plan) -> bool:
    """Does anything run beside the calls? Else all steps are in order."""
    return any(step.stream or step.kind is not StepKind.RUN for step in plan.steps)


__all__ = ["Order", "Touch", "has_streams"]
