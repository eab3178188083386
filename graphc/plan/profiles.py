"""live_profile: bytes of the work arena that each step of a Program needs, without offsets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphc.plan.lifetimes import Schedule, lifetimes
from graphc.plan.sharing import share_in_place
from graphc.plan.workspaces import fastest
from graphc.program import Program

Table = npt.NDArray[np.int64]


def live_profile(program: Program) -> Table:
    """By step of a plan that runs every call once; after the last, what is given or kept alone."""
    schedule = Schedule.of(program)
    lives = lifetimes(program, schedule)
    whole: dict[int, tuple[int, int, int]] = {}
    for root, head in share_in_place(program, schedule, lives).items():
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
    spaces = [fastest(call).workspace_bytes for call in schedule.calls]
    live[: len(spaces)] += np.array(spaces, np.int64)
    return live


__all__ = ["Table", "live_profile"]
