"""tried: what a choice of what to replay takes, in bytes and time, without offsets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphc.plan.facts import Facts
from graphc.plan.lifetimes import Schedule, lifetimes
from graphc.plan.replays import Choice, StaleError, Unrolled, unrolled
from graphc.plan.sharing import share_in_place
from graphc.program import Program
from graphc.records import record

Profile = npt.NDArray[np.int64]


@record(frozen=True, slots=True)
class Trial:
    """`choice`: without what had to stay; `peak`: bytes of the work arena at its fullest step;
    `us`: what replays take. By position in the order of the Program's own calls, replays counted
    to the call that they come before: `profile`: the most bytes alive; `spans[root]`: the last use
    in the forward and the next after it, of the first instance; `returns[root]`: where a dropped
    one is replayed first. `runs[call]`: how often one is replayed."""

    choice: Choice
    peak: int
    us: float
    profile: Profile
    spans: dict[int, tuple[int, int]]
    returns: dict[int, int]
    runs: dict[int, int]


def tried(facts: Facts, choice: Choice) -> Trial:
    """The trial of a choice; what would be replayed too late is kept instead."""
    while True:
        try:
            made = unrolled(facts, choice)
            break
        except StaleError as stale:
            choice = {root: group for root, group in choice.items() if root not in stale.roots}
    program = made.program
    schedule = Schedule.of(program)
    live = _live(facts, program, schedule, made)
    at = np.empty(len(schedule.calls), np.int64)
    runs: dict[int, int] = {}
    position = 0
    for step, call in enumerate(schedule.calls):
        at[step] = position
        own, instance = made.calls[call.id]
        if instance:
            runs[own] = instance
        else:
            position += 1
    profile = np.zeros(position, np.int64)
    np.maximum.at(profile, at, live)
    spans, returns = _uses(facts, schedule, made, at)
    return Trial(choice, int(live.max(initial=0)), made.replay_us, profile, spans, returns, runs)


def _live(facts: Facts, program: Program, schedule: Schedule, made: Unrolled) -> Profile:
    lives = lifetimes(program, schedule)
    chain = share_in_place(program, schedule, lives)
    whole: dict[int, tuple[int, int, int]] = {}
    for root, head in chain.items():
        life, nbytes = lives[root], program.buffers[root].nbytes
        first, last, most = whole.get(head, (life.first, life.last, 0))
        whole[head] = min(first, life.first), max(last, life.last), max(most, nbytes)
    steps = len(schedule.calls)
    steps = max(steps, 1 + max((last for _, last, _ in whole.values()), default=0))
    table = np.array(list(whole.values()), np.int64).reshape(-1, 3)
    change = np.zeros(steps + 1, np.int64)
    np.add.at(change, table[:, 0], table[:, 2])
    np.subtract.at(change, table[:, 1] + 1, table[:, 2])
    live = np.cumsum(change)[: len(schedule.calls)]
    live += [facts.space[made.calls[call.id][0]] for call in schedule.calls]
    return live


def _uses(
    facts: Facts, schedule: Schedule, made: Unrolled, at: Profile
) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
    begun = schedule.start("backward")
    own, root_of = len(facts.root_of), facts.root_of
    last: dict[int, int] = {}
    following: dict[int, int] = {}
    returns: dict[int, int] = {}
    for step, call in enumerate(schedule.calls):
        for operand in call.reads:
            if operand.buffer < own:
                root = root_of[operand.buffer]
                if step < begun:
                    last[root] = step
                elif root not in following:
                    following[root] = int(at[step])
        for operand in call.writes:
            if step < begun:
                last[root_of[operand.buffer]] = step
            elif operand.buffer >= own:
                returns.setdefault(root_of[made.buffers[operand.buffer]], int(at[step]))
    spans = {root: (last[root], at) for root, at in following.items() if root in last}
    return spans, returns


__all__ = ["Profile", "Trial", "tried"]
