"""Hybrids: plans that replay some activations and send others to the host, by policy.

Recompute first: replays are chosen as without a host, and then what they keep is sent, the longest
unused first, as far as that saves more than it makes calls wait. Two policies replay nothing:
"offload" sends results of convolutions, products and joins, as SuperNeurons does (Wang et al. 2018,
3.3); "tensor_cache" sends what was used least recently and no more than must be, which is what its
tensor cache evicts, though ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from graphc.plan.data import Plan
from graphc.plan.facts import Facts
from graphc.plan.hosted import plan_hosted
from graphc.plan.lifetimes import Schedule, lifetimes
from graphc.plan.replays import Choice, Script, StaleError, TooManyError, unrolled
from graphc.plan.segments import Segments
from graphc.plan.sends import sendable, sending, streamable
from graphc.plan.sharing import share_in_place
from graphc.program import PERSISTENT, Program
from graphc.records import record

EFFORT = 300_000
"""Steps that may be weighed; one takes some forty microseconds."""
SMALL = 512
"""What is under this part of the largest is never worth a transfer."""
SHARES = (1.0, 0.6, 0.3)
"""Parts of the bytes that could be sent."""
AHEAD = (1 << 30, 2, 1)
"""How many transfers may be under way, each way."""
PARTS = (3, 6, 12, 24, 48, 96)
"""Segments that are replayed have about one of these parts of all that is kept."""
TRIED = 4
"""Plans with offsets that may turn out too large."""


@record(frozen=True, slots=True)
class Hybrid:
    """`device`: bytes, as far as known without offsets; `us`: of calls, replays and stalls."""

    choice: Choice | Script
    roots: tuple[int, ...]
    ahead: int
    device: int
    us: float


class Hybrids:
    """What a policy knows to do with a host, weighed without regard to any budget."""

    def __init__(self, facts: Facts, policy: str, choices: Sequence[Script] = ()) -> None:
        self.facts, self.segments = facts, Segments(facts)
        self._choices, self._left = choices, EFFORT
        self.found: list[Hybrid] = []
        HOST_POLICIES.get(policy, Hybrids.mixed)(self)

    def plans(self, budget_bytes: int, host_bytes: int) -> Iterator[Plan]:
        """Plans within both budgets, those first that are estimated to be the fastest."""
        fitting = [hybrid for hybrid in self.found if hybrid.device <= budget_bytes]
        for plan in self._made(sorted(fitting, key=lambda each: each.us), host_bytes):
            if plan.peak_bytes <= budget_bytes:
                yield plan

    def smallest(self, host_bytes: int) -> Iterator[Plan]:
        """Plans that need the least of the device."""
        yield from self._made(sorted(self.found, key=lambda each: each.device), host_bytes)

    def _made(self, hybrids: Sequence[Hybrid], host_bytes: int) -> Iterator[Plan]:
        for hybrid in hybrids[:TRIED]:
            plan = plan_hosted(self.facts, hybrid.choice, hybrid.roots, hybrid.ahead)
            if plan.host_bytes <= host_bytes:
                yield plan

    def mixed(self) -> None:
        """Replays of all sizes, and of what they keep all, or some."""
        full = sum(self._size(root) for root in self.facts.wanted)
        by_size = [self.segments.by_size(full // part) for part in PARTS]
        choices: list[Choice | Script] = [self.segments.nothing(), *by_size, *self._choices]
        for choice in choices:
            roots = self._oldest(choice)
            for share in SHARES:
                for ahead in AHEAD if share == 1.0 else AHEAD[:2]:
                    self._weigh(choice, _part(roots, share, self._size), ahead)
            streamed = (*roots, *self._weights())
            for ahead in AHEAD:
                self._weigh(choice, streamed, ahead)

    def offload(self) -> None:
        choice, dear = self.segments.nothing(), self.segments.checkpoints()
        roots = [root for root in self._oldest(choice) if root in dear]
        for ahead in AHEAD:
            self._weigh(choice, roots, ahead)

    def tensor_cache(self) -> None:
        choice = self.segments.nothing()
        roots = self._oldest(choice)
        for share in np.linspace(0.05, 1.0, 20):
            for ahead in AHEAD:
                self._weigh(choice, _part(roots, float(share), self._size), ahead)

    def _size(self, root: int) -> int:
        return self.facts.program.buffers[root].nbytes

    def _oldest(self, choice: Choice | Script) -> list[int]:
        """What stays from the forward to the backward, by its last use before."""
        program = self.facts.program
        open_ = sendable(program).difference(self._dropped(choice))
        most = max(map(self._size, open_), default=0)
        last: dict[int, int] = {}
        for at, index in enumerate(self.facts.forward):
            for root in (*self.facts.reads[index], *self.facts.writes[index]):
                last[root] = at
        large = (root for root in open_ if self._size(root) * SMALL >= most)
        return sorted(large, key=lambda root: (last[root], root))

    def _dropped(self, choice: Choice | Script) -> Collection[int]:
        if not isinstance(choice, Script):
            return choice
        again = (index for calls in choice.replays.values() for index in calls)
        return {root for index in again for root in self.facts.writes[index]}

    def _weights(self) -> list[int]:
        open_ = sorted(streamable(self.facts.program))
        most = max(map(self._size, open_), default=0)
        return [root for root in open_ if self._size(root) * SMALL >= most]

    def _weigh(self, choice: Choice | Script, roots: Collection[int], ahead: int) -> None:
        while self._left > 0:
            try:
                made = unrolled(self.facts, choice)
            except StaleError as stale:
                if isinstance(choice, Script):
                    return
                choice = {root: g for root, g in choice.items() if root not in stale.roots}
                continue
            except TooManyError:
                return
            wanted = sendable(made.program) | streamable(made.program)
            kept = tuple(root for root in roots if root in wanted)
            sent = sending(made.program, kept, ahead)
            steps, peak = _work_peak(sent.program)
            self._left -= steps
            device = peak + _rest(sent.program)
            self.found.append(Hybrid(choice, kept, ahead, device, sent.us))
            return


def _part(roots: Sequence[int], share: float, size: Callable[[int], int]) -> list[int]:
    """The first of some roots, with a share of the bytes of all."""
    left, found = share * sum(map(size, roots)), []
    for root in roots:
        if left <= 0:
            break
        found.append(root)
        left -= size(root)
    return found


def _work_peak(program: Program) -> tuple[int, int]:
    """(steps, the most bytes alive in one of them)."""
    schedule = Schedule.of(program)
    lives = lifetimes(program, schedule)
    chain = share_in_place(program, schedule, lives)
    whole: dict[int, tuple[int, int, int]] = {}
    for root, head in chain.items():
        life = lives[root]
        first, last, most = whole.get(head, (life.first, life.last, 0))
        nbytes = max(most, program.buffers[root].nbytes)
        whole[head] = min(first, life.first), max(last, life.last), nbytes
    table = np.array(list(whole.values()), np.int64).reshape(-1, 3)
    steps = max(len(schedule.calls), 1 + int(table[:, 1].max(initial=0)))
    change = np.zeros(steps + 1, np.int64)
    np.add.at(change, table[:, 0], table[:, 2])
    np.subtract.at(change, table[:, 1] + 1, table[:, 2])
    live = np.cumsum(change)[:-1]
    for step, call in enumerate(schedule.calls):
        live[step] += min(call.variants, key=lambda v: v.est_us).workspace_bytes
    return steps, int(live.max(initial=0))


def _rest(program: Program) -> int:
    """Bytes of what persists on the device."""
    end = 0
    for buffer in program.buffers:
        if buffer.kind in PERSISTENT and buffer.view_of is None:
            end = -(-end // buffer.align) * buffer.align + buffer.nbytes
    return end


HOST_POLICIES: dict[str, Callable[[Hybrids], None]] = {
    "offload": Hybrids.offload,
    "tensor_cache": Hybrids.tensor_cache,
}
"""Those that replay nothing."""


__all__ = ["HOST_POLICIES", "Hybrids"]
