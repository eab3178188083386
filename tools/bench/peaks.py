"""Work arenas of training plans per network, beside what the neediest call alone takes.

usage: python tools/bench/peaks.py [--nets alexnet,..] [--batch N] [--no-host] [--largest SIZE]

For each network, target model, MiB per image without weights: the plan that computes everything
once, the smallest that take 10 % and 35 % more time by estimate, the smallest of all and its time,
the smallest with a host pool and its time, `op`, under which no plan can be, and how much larger
than that these two are. `live`: the largest ratio of an arena to what is alive. `half`, `quarter`:
more time in so much of the first arena. All plans are verified. `--largest`: also the largest batch
within SIZE, with at most 35 % more time, which takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from graphc.errors import GraphError
from graphc.memory import largest_batch, lowered
from graphc.plan import Plan, verify_plan
from graphc.plan.within import Choosing
from graphc.program import PERSISTENT, Program

ROOT = Path(__file__).resolve().parents[2]
NETS = "alexnet,vgg16,googlenet,resnet50,resnet101,resnet152,inception_v4"
BATCH = 32
HOST = 1 << 50
COLUMNS = (
    ("net", 13),
    ("free", 8),
    ("<=10 %", 8),
    ("<=35 %", 8),
    ("least", 15),
    ("with host", 15),
    ("op", 7),
    ("least/op", 9),
    ("host/op", 8),
    ("live", 7),
    ("half", 7),
    ("quarter", 8),
    ("s", 6),
)


def cells(net: str, batch: int, with_host: bool, largest: str | None) -> Iterator[str]:
    path, start = ROOT / "models" / net / "train.prototxt", time.perf_counter()
    low = lowered(path, train=True, batch=batch, target="model")
    program, free, choosing = low.program, low.plan, Choosing(low.program)
    plans = [free, *(choosing.least(0, share) for share in (0.10, 0.35, float("inf")))]
    hosted = smallest_hosted(program, free) if with_host else None
    for plan in (*plans[1:], *([hosted] if hosted else [])):
        verify_plan(program, plan)
    image = batch * 2**20
    yield net
    yield from (f"{plan.work_bytes / image:.2f}" for plan in plans[:3])
    yield f"{plans[3].work_bytes / image:.2f} {more(plans[3], free):+.0%}"
    yield f"{hosted.work_bytes / image:.2f} {more(hosted, free):+.0%}" if hosted else "-"
    yield f"{free.op_bound / image:.2f}"
    yield f"{plans[3].work_bytes / free.op_bound:.3f}"
    yield f"{hosted.work_bytes / free.op_bound:.3f}" if hosted else "-"
    yield f"{max(p.work_bytes / p.live_bound for p in plans):.4f}"
    yield from (within(choosing, free, share) for share in (2, 4))
    yield f"{time.perf_counter() - start:.0f}"
    if largest is not None:
        found = largest_batch(path, train=True, memory=largest)
        yield f"{found.batch:,}"


def more(plan: Plan, free: Plan) -> float:
    return plan.est_us / free.est_us - 1


def within(choosing: Choosing, free: Plan, share: int) -> str:
    """More time in a share of the arena."""
    persists = free.peak_bytes - free.work_bytes
    try:
        return f"{more(choosing.within(persists + free.work_bytes // share), free):+.1%}"
    except GraphError:
        return "-"


def smallest_hosted(program: Program, free: Plan) -> Plan | None:
    """The smallest arena with as much of the host as is wanted; weights stay."""
    budget = free.peak_bytes - free.work_bytes + free.op_bound
    hybrids = Choosing(program, "ours", HOST).hybrids(budget)
    buffers = program.buffers
    hybrids.found = [
        each for each in hybrids.found if all(buffers[r].kind not in PERSISTENT for r in each.roots)
    ]
    return min(hybrids.smallest(HOST), key=lambda plan: plan.work_bytes, default=None)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--nets", default=NETS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--no-host", action="store_true")
    parser.add_argument("--largest", metavar="SIZE")
    to = parser.parse_args(words)
    columns = [*COLUMNS, (f"in {to.largest}", 12)] if to.largest else list(COLUMNS)
    print("".join(f"{name:>{width}}" for name, width in columns))
    for net in to.nets.split(","):
        row = zip(columns, cells(net, to.batch, not to.no_host, to.largest), strict=True)
        print("".join(f"{cell:>{width}}" for (_, width), cell in row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
