"""sending: a Program in which some buffers wait on the host while nobody uses them.

As `unrolled` does with replays, every stay of such a buffer on the device becomes a buffer of its
own, and transfers become calls, so that lifetimes, in-place chains and offsets are those of a plan
without. A transfer out stands where its bytes may be used again, not where it begins: until then
they are alive. One in stands where it begins.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate

import numpy as np

from graphc.plan.data import StepKind
from graphc.plan.instances import Instances
from graphc.plan.lifetimes import roots_of
from graphc.plan.profiles import Table, live_profile
from graphc.plan.stays import Stay
from graphc.plan.workspaces import fastest
from graphc.program import PERSISTENT, Buffer, BufferKind, Call, Operand, Program, Variant
from graphc.records import record

APART = 8
"""Uses that are further apart than so many times the transfer are two stays."""


@record(frozen=True, slots=True)
class Sent:
    """`transfers[call]`: the stay that a call moves, and how; `buffers[buffer]`: that of the
    Program before; `us`: what calls and stalls take, as far as that can be told without offsets;
    `homes`: roots that are on the host whenever they are not here."""

    program: Program
    transfers: dict[int, tuple[StepKind, Stay]]
    buffers: list[int]
    us: float
    homes: frozenset[int]


def sending(program: Program, roots: Collection[int], most: int) -> Sent:
    """The Program that sends `roots`, which are `sendable` or `streamable`.

    Transfers take their time on two streams, one each way, while calls run, as far as no more than
    `most` bytes are then alive in any step; where there is no room for that, calls wait for them.
    """
    waiting = _Sender(program, frozenset(roots), {}).run()
    if waiting.homes or waiting.transfers:
        live = live_profile(waiting.program)
        spare = {entry: most - row for entry, row in _by_call(waiting, live).items()}
        return _Sender(program, frozenset(roots), spare).run()
    return waiting


def _by_call(sent: Sent, live: Table) -> dict[str, Table]:
    """Bytes alive in each call of an entry, transfers right before it counted to it, and after the
    last."""
    found: dict[str, Table] = {}
    at = 0
    for entry in sorted(sent.program.entries, key=_position):
        calls = sent.program.entries[entry]
        row = [0]
        for index in calls:
            row[-1] = max(row[-1], int(live[at]))
            at += 1
            if index not in sent.transfers:
                row.append(0)
        found[entry] = np.array(row, np.int64)
    return found


class _Sender:
    def __init__(self, program: Program, roots: frozenset[int], spare: dict[str, Table]) -> None:
        self.program, self.roots, self.spare = program, roots, spare
        self.made = Instances(program)
        self.buffers, self.calls = self.made.buffers, self.made.calls
        self.transfers: dict[int, tuple[StepKind, Stay]] = {}
        self.homes = frozenset(r for r in roots if program.buffers[r].kind in PERSISTENT)
        self.us = 0.0
        self._sent = [r if r in roots else None for r in roots_of(program)]  # by buffer

    def run(self) -> Sent:
        program, entries = self.program, dict(self.program.entries)
        stays: dict[str, list[Stay]] = {}
        for stay in self._stays():
            stays.setdefault(stay.entry, []).append(stay)
        for entry, calls in program.entries.items():
            own = stays.get(entry, [])
            self._use(own, calls)
            entries[entry] = tuple(self._order(own, calls, self.spare.get(entry)))
        for root in self.homes:  # on the device it is only what its stays are
            b = self.buffers[root]
            self.buffers[root] = Buffer(
                b.id, b.name, BufferKind.IO, b.dtype, b.dims, b.strides, b.nbytes, b.align
            )
        made = self.made.done(entries)
        return Sent(made, self.transfers, self.made.origin, self.us, self.homes)

    def _transfer_us(self, root: int) -> float:
        return self.program.link.microseconds(self.program.buffers[root].nbytes)

    def _stays(self) -> Iterator[Stay]:
        """In the order in which they begin; with the buffer of each, and how it comes and goes."""
        open_: dict[int, Stay] = {}
        found: list[Stay] = []
        for entry in sorted(self.program.entries, key=_position):
            times = self._times(self.program.entries[entry])
            for at, index in enumerate(self.program.entries[entry]):
                call = self.program.calls[index]
                written = [self._sent[o.buffer] for o in call.writes]
                used = [self._sent[o.buffer] for o in call.reads]
                for root in sorted({r for r in (*written, *used) if r is not None}):
                    stay = open_.get(root)
                    if stay is None or stay.entry != entry or self._is_over(stay, times, at):
                        stay = open_[root] = Stay(root, entry, [])
                        found.append(stay)
                    stay.uses.append(at)
                    stay.is_changed |= root in written
        known: set[int] = set()
        for stay in found:
            is_new = stay.root not in known and stay.root not in self.homes
            stay.comes, stay.goes = not is_new, stay.is_changed
            stay.buffer = stay.root if is_new else self.made.add(stay.root)
            known.add(stay.root)
            yield stay

    def _is_over(self, stay: Stay, times: Sequence[float], at: int) -> bool:
        """Is it worth a transfer to leave until the next use?"""
        gap = times[at] - times[stay.last + 1]
        return not stay.is_changed and gap > APART * self._transfer_us(stay.root)

    def _times(self, calls: Sequence[int]) -> list[float]:
        """When each call would begin if none waited, and when the last would end."""
        times = [fastest(self.program.calls[index]).est_us for index in calls]
        return list(accumulate(times, initial=0.0))

    def _use(self, stays: Sequence[Stay], calls: Sequence[int]) -> None:
        """Let calls use the buffers of stays."""
        at: dict[int, dict[int, int]] = {}
        for stay in stays:
            if stay.buffer != stay.root:
                for position in stay.uses:
                    at.setdefault(position, {})[stay.root] = stay.buffer
        for position, instead in at.items():
            call = self.calls[calls[position]]
            self.calls[call.id] = self.made.call(call, call.id, instead, instead)

    def _call(self, kind: StepKind, stay: Stay) -> int:
        """A transfer as a call; the time that it takes is not the calls'."""
        made, name = len(self.calls), self.program.buffers[stay.root].name
        moved = (Operand("moved", stay.buffer, 1),)
        reads, writes = (moved, ()) if kind is StepKind.OUT else ((), moved)
        self.calls.append(Call(made, name, -1, kind.value, (Variant(kind.value),), reads, writes))
        self.transfers[made] = kind, stay
        return made

    def _order(
        self, stays: Sequence[Stay], calls: Sequence[int], spare: Table | None
    ) -> Iterator[int]:
        """An entry's calls, with transfers between them; adds the time that they take."""
        times = self._times(calls)
        comes, goes = self._comings(stays, times, spare), self._goings(stays, times, spare)
        awaited: dict[int, list[Stay]] = {}
        leave: dict[int, list[Stay]] = {}
        for stay in stays:
            if stay.comes:
                awaited.setdefault(stay.first, []).append(stay)
            if stay.goes:
                leave.setdefault(stay.last, []).append(stay)
        now = way_in = way_out = 0.0
        over: dict[int, float] = {}  # buffer of a stay -> when its last transfer has ended
        for at in range(len(calls) + 1):
            for stay in goes.get(at, ()):
                now = max(now, over[stay.buffer])
                yield self._call(StepKind.OUT, stay)
            for stay in comes.get(at, ()):
                way_in = max(way_in, now) + self._transfer_us(stay.root)
                over[stay.buffer] = way_in
                yield self._call(StepKind.IN, stay)
            if at == len(calls):
                break
            now = max([now, *(over[stay.buffer] for stay in awaited.get(at, ()))])
            now += times[at + 1] - times[at]
            for stay in leave.get(at, ()):
                way_out = max(way_out, now) + self._transfer_us(stay.root)
                over[stay.buffer] = way_out
            yield calls[at]
        self.us += max(now, way_in, way_out)

    def _comings(
        self, stays: Sequence[Stay], times: Sequence[float], spare: Table | None
    ) -> dict[int, list[Stay]]:
        """Before which call each transfer in begins: as late as ends in time, one after another, or
        as early as there is room for it. No spare bytes are known: when it is waited for."""
        found: dict[int, list[Stay]] = {}
        queue = sorted((stay for stay in stays if stay.comes), key=lambda stay: stay.first)
        start = times[-1]
        for stay in reversed(queue):
            start = min(start, times[stay.first]) - self._transfer_us(stay.root)
            at = min(max(0, bisect_right(times, start) - 1), stay.first)
            if spare is None:
                at = stay.first
            else:
                nbytes = self.program.buffers[stay.root].nbytes
                full = np.nonzero(spare[at : stay.first] < nbytes)[0]
                at += 0 if full.size == 0 else int(full[-1]) + 1
                spare[at : stay.first] -= nbytes
            found.setdefault(at, []).insert(0, stay)
        return found

    def _goings(
        self, stays: Sequence[Stay], times: Sequence[float], spare: Table | None
    ) -> dict[int, list[Stay]]:
        """Before which call the bytes of each transfer out may be used again: once it has ended, or
        when there is no more room for it. No spare bytes are known: at once."""
        found: dict[int, list[Stay]] = {}
        queue = sorted((stay for stay in stays if stay.goes), key=lambda stay: stay.last)
        end = 0.0
        for stay in queue:
            begun = stay.last + 1
            end = max(end, times[begun]) + self._transfer_us(stay.root)
            at = min(max(bisect_left(times, end), begun), len(times) - 1)
            if spare is None:
                at = begun
            else:
                nbytes = self.program.buffers[stay.root].nbytes
                full = np.nonzero(spare[begun:at] < nbytes)[0]
                at = at if full.size == 0 else begun + int(full[0])
                spare[begun:at] -= nbytes
            found.setdefault(at, []).append(stay)
        return found


def _position(entry: str) -> int:
    order = ("prepare", "forward", "backward", "update")
    return order.index(entry) if entry in order else len(order)


__all__ = ["Sent", "sending"]
