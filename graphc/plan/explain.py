"""explained: what a plan keeps from the forward to the backward, replays, and sends to the host."""

from __future__ import annotations

from graphc.plan.data import Plan, StepKind
from graphc.plan.within import replay_us
from graphc.program import PERSISTENT, Program
from graphc.records import record


@record(frozen=True, slots=True)
class Explained:
    """`kept`: (buffer, bytes) that the forward made and a later entry reads as it is, largest
    first; `replayed`: (call, part, how often, microseconds of all), dearest first; `sent`: (buffer,
    bytes on the host, how often it comes back), largest first. `us`: what replays take; `stall_us`:
    what calls wait for transfers; `overhead`: both as a part of all else."""

    kept: tuple[tuple[str, int], ...]
    replayed: tuple[tuple[str, str, int, float], ...]
    sent: tuple[tuple[str, int, int], ...]
    us: float
    stall_us: float
    overhead: float


@record(frozen=True, slots=True)
class Taken:
    """The kernel that a plan takes for a step's call, of several: `workspace` bytes and estimated
    `us`, and those of the fastest."""

    layer: str
    part: str
    symbol: str
    workspace: int
    us: float
    fastest_workspace: int
    fastest_us: float


def taken(program: Program, plan: Plan) -> tuple[Taken, ...]:
    """What runs for calls that the planner could choose a kernel for, in the order of the steps;
    replays are no rows of their own unless they take another kernel."""
    found: dict[Taken, None] = {}
    for step in plan.steps:
        call = program.calls[step.call] if step.kind is StepKind.RUN else None
        if call is not None and len(call.variants) > 1:
            own = call.variants[step.variant]
            best = min(call.variants, key=lambda v: (v.est_us, v.workspace_bytes))
            row = call.name, call.part, own.symbol, own.workspace_bytes, own.est_us
            found[Taken(*row, best.workspace_bytes, best.est_us)] = None
    return tuple(found)


def explained(program: Program, plan: Plan) -> Explained:
    """What a plan does to stay small; times are estimates."""
    past = plan.entries["forward"][1]
    writer: dict[tuple[int, int, int], bool] = {}  # root, arena, where it begins: is a replay's
    kept: dict[int, int] = {}
    times: dict[int, int] = {}
    returns: dict[int, int] = {}
    for number, step in enumerate(plan.steps):
        if step.kind is not StepKind.RUN:
            target = step.operands[1]
            is_back = step.kind is StepKind.IN
            returns[target.buffer] = returns.get(target.buffer, 0) + is_back
            if is_back:
                writer[target.buffer, target.arena, target.offset] = True
            continue
        call = program.calls[step.call]
        if step.instance:
            times[call.id] = times.get(call.id, 0) + 1
        for at, place in enumerate(step.operands):
            root = program.root(place.buffer)
            start = (program.buffers[place.buffer].view_of or (0, 0))[1]
            home = root.id, place.arena, place.offset - start
            if at >= len(call.reads):
                writer[home] = number >= past
            elif number >= past and root.kind not in PERSISTENT and writer.get(home) is False:
                kept[root.id] = root.nbytes
    us = replay_us(program, plan)
    runs = [step for step in plan.steps if step.kind is StepKind.RUN]
    calls_us = sum(program.calls[s.call].variants[s.variant].est_us for s in runs)
    stall, rest = max(0.0, plan.est_us - calls_us), calls_us - us
    sent = [(program.buffers[b].name, program.buffers[b].nbytes, n) for b, n in returns.items()]
    replayed = [
        (call.name, call.part, count, count * min(v.est_us for v in call.variants))
        for call, count in ((program.calls[index], count) for index, count in times.items())
    ]
    return Explained(
        tuple((program.buffers[b].name, n) for b, n in sorted(kept.items(), key=lambda k: -k[1])),
        tuple(sorted(replayed, key=lambda row: -row[3])),
        tuple(sorted(sent, key=lambda row: -row[1])),
        us,
        stall,
        (us + stall) / rest if rest else 0.0,
    )


__all__ = ["Explained", "Taken", "explained", "taken"]
