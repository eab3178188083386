"""Hybrids: plans that replay some activations and send others to the host, by policy.

Recompute first: replays are chosen as without a host, and then what they keep is sent, the longest
unused first, as far as that saves more than it makes calls wait. Two policies replay nothing:
"offload" sends results of convolutions, products and joins, as SuperNeurons does (Wang et al. 2018,
3.3); "tensor_cache" sends what was used least recently and no more than must be, which is what its
tensor cache evicts, though ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from graphc.plan.data import Plan
from graphc.plan.facts import Facts
from graphc.plan.hosted import plan_hosted
from graphc.plan.profiles import live_profile
from graphc.plan.replays import Choice, Script, StaleError, TooManyError, unrolled
from graphc.plan.segments import Segments
from graphc.plan.sends import sending
from graphc.plan.stays import sendable, streamable
from graphc.program import PERSISTENT, Program
from graphc.records import record

EFFORT = 400_000
"""Steps that may be weighed; one takes some eighty microseconds."""
SMALL = 512
"""What is under this part of the largest is never worth a transfer."""
SHARES = (1.0, 0.9, 0.7, 0.5)
"""Parts of the bytes that could be sent."""
WITH_WEIGHTS = (1.0, 0.9)
"""Such parts that are tried with weights, too."""
PARTS = (1 << 30, 96, 24, 6)
"""Segments that are replayed have about one of these parts of all that is kept."""
ROOMS = (0.7, 0.5)
"""Parts of the budget that the replay of a segment may take."""
LARGE = (2, 4)
"""What is in segments of over one of these parts of the largest is sent rather than replayed."""
STEPS = 20
"""Parts of what could be sent that the tensor cache tries to do with."""
TRIED = 4
"""Of how many a plan with offsets is made; of fewer where they have many steps."""
FILLS = (1.0, 0.95, 0.85, 0.7, 0.0)
"""Parts of what may be alive while transfers run: where it is full, offsets leave gaps."""


@record(frozen=True, slots=True)
class Hybrid:
    """`most`: bytes that may be alive in the work arena while transfers run; `device`: bytes, as
    far as known without offsets; `us`: of calls, replays and stalls."""

    choice: Choice | Script
    roots: tuple[int, ...]
    most: int
    device: int
    us: float


class Hybrids:
    """What a policy knows to do with a host within a budget of device memory. `choices`: of
    replays, which are tried with transfers, too. `alone`: of replays that need no transfers but of
    weights."""

    def __init__(
        self,
        facts: Facts,
        policy: str,
        budget_bytes: int,
        choices: Sequence[Script] = (),
        alone: Sequence[Script] = (),
    ) -> None:
        self.facts, self.segments = facts, Segments(facts)
        self._choices, self._alone = choices, alone
        self._left, self._budget = EFFORT, budget_bytes
        self.found: list[Hybrid] = []
        HOST_POLICIES.get(policy, Hybrids.mixed)(self)

    def plans(self, host_bytes: int) -> Iterator[Plan]:
        """Plans within both budgets, those first that are estimated to be the fastest."""
        fitting = [hybrid for hybrid in self.found if hybrid.device <= self._budget]
        for hybrid in sorted(fitting, key=lambda each: each.us)[: self._tried()]:
            for part in FILLS:
                plan = self._made(hybrid, int(part * hybrid.most))
                if plan.peak_bytes <= self._budget and plan.host_bytes <= host_bytes:
                    yield plan
                    break

    def smallest(self, host_bytes: int) -> Iterator[Plan]:
        """Plans that need the least of the device."""
        for hybrid in sorted(self.found, key=lambda each: each.device)[: self._tried()]:
            plan = self._made(hybrid, 0)
            if plan.host_bytes <= host_bytes:
                yield plan

    def _tried(self) -> int:
        return max(1, min(TRIED, EFFORT // max(1, len(self.facts.program.calls))))

    def _made(self, hybrid: Hybrid, most: int) -> Plan:
        return plan_hosted(self.facts, hybrid.choice, hybrid.roots, most)

    def mixed(self) -> None:
        """Replays of all sizes, and of what they keep all, or some; weights, too, or alone."""
        weights = self._weights()
        for script in self._alone if weights else ():
            self._weigh(script, weights)
        tried: list[Choice | Script] = []
        for choice in self._bases():
            if choice in tried:
                continue
            tried.append(choice)
            roots = self._oldest(choice)
            for share in SHARES:
                self._weigh(choice, _part(roots, share, self._size))
            for share in WITH_WEIGHTS:
                self._weigh(choice, (*_part(roots, share, self._size), *weights))

    def _bases(self) -> Iterator[Choice | Script]:
        """What to replay, of all that is tried with transfers."""
        full = sum(self._size(root) for root in self.facts.wanted)
        yield self.segments.nothing()
        yield from self._choices
        for share in ROOMS:
            yield self.segments.by_room(int(share * self._budget))
        for part in PARTS:
            size = full // part
            yield self.segments.by_size(size)
            for large in LARGE:
                told = self.segments.by_reader(size, size, large)
                yield {root: 0 for root, group in told.items() if group >= 0}

    def offload(self) -> None:
        choice, dear = self.segments.nothing(), self.segments.checkpoints
        self._weigh(choice, [root for root in self._oldest(choice) if root in dear])

    def tensor_cache(self) -> None:
        choice = self.segments.nothing()
        roots = self._oldest(choice)
        for step in range(1, STEPS + 1):
            self._weigh(choice, _part(roots, step / STEPS, self._size))
            if self.found and self.found[-1].device <= self._budget:
                break

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

    def _weigh(self, choice: Choice | Script, roots: Collection[int]) -> None:
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
            rest = _rest(made.program, kept)
            most = self._budget - rest
            sent = sending(made.program, kept, most)
            live = live_profile(sent.program)
            self._left -= live.size
            device = int(live.max(initial=0)) + rest
            self.found.append(Hybrid(choice, kept, most, device, sent.us))
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


def _rest(program: Program, without: Collection[int]) -> int:
    """Bytes of what persists on the device."""
    end, gone = 0, frozenset(without)
    for buffer in program.buffers:
        if buffer.kind in PERSISTENT and buffer.view_of is None and buffer.id not in gone:
            end = -(-end // buffer.align) * buffer.align + buffer.nbytes
    return end


HOST_POLICIES: dict[str, Callable[[Hybrids], None]] = {
    "offload": Hybrids.offload,
    "tensor_cache": Hybrids.tensor_cache,
}
"""Those that replay nothing."""


__all__ = ["HOST_POLICIES", "Hybrids"]
