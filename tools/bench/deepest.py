"""How deep a ResNet trains within a budget: plans of (6, 32, n3, 6) bottlenecks of 224x224 images.

usage: python tools/bench/deepest.py [DEPTH ...] [--batch N] [--memory SIZE] [--apart] [--host SIZE]

Prints for each depth the bytes of the plan, those of them that persist, those on the host, its
replays and transfers, the time that they add by estimate, and the seconds of reading and lowering,
and of planning and verifying. Target is model. `--apart`: gradients are kept until all are there,
and then parameters are updated. `--host`: weights, what the solver remembers of them, and
activations may be sent to the host.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nets.residual import resnet

from graphc.budget import wish_of
from graphc.errors import GraphError
from graphc.lower import model
from graphc.memory.plans import prepared
from graphc.plan import StepKind
from graphc.plan.wish import Wish
from graphc.plan.within import plan_within

DEPTHS = {True: 3_400, False: 2_300}
"""What is planned unless told otherwise, by whether updates are fused."""
OTHERS = 6 + 32 + 6


def written(
    depth: int, batch: int, folder: Path, size: int = 224, **words: int
) -> tuple[int, Path]:
    """The net of at least `depth` layers: its depth, and the file that has it; `words`: as of
    `resnet`."""
    blocks = max(1, -(-(depth - 2) // 3) - OTHERS)
    net = resnet((6, 32, blocks, 6), True, size=size, batch=batch, **words)
    path = folder / f"resnet_{batch}_{blocks}.prototxt"
    path.write_text(net.text())
    return 3 * (OTHERS + blocks) + 2, path


def row(depth: int, path: Path, wish: Wish, fused: bool) -> str:
    """A plan's figures; raises GC-M001 if there is none within the wish's memory."""
    start = time.perf_counter()
    graph = prepared(path, True, None, ())
    program = model.lower(graph, set(), fused)
    middle = time.perf_counter()
    plan = plan_within(program, wish.memory or 0, wish.policy, wish.host)
    end = time.perf_counter()
    stored = sum(min(v.est_us for v in call.variants) for call in program.calls)
    replays = sum(step.instance > 0 for step in plan.steps)
    sends = sum(step.kind is not StepKind.RUN for step in plan.steps)
    share = 100 * (plan.est_us / stored - 1)
    kind = "fused" if fused else "apart"
    persists = plan.peak_bytes - plan.work_bytes
    return (
        f"{depth:6} {kind:6} {plan.peak_bytes:15,} {persists:15,} {plan.host_bytes:15,} "
        f"{replays:8} {sends:8} {share:8.1f} {middle - start:8.1f} {end - middle:8.1f}"
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Plan deep residual networks within a budget.")
    parser.add_argument("depths", nargs="*", type=int, metavar="DEPTH", help="at least so deep")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--memory", default="12GB", metavar="SIZE")
    parser.add_argument("--apart", action="store_true", help="updates are not fused")
    parser.add_argument("--host", metavar="SIZE", help="what may be sent there")
    told = parser.parse_args(words)
    wish, failed = wish_of(told.memory, host=told.host), False
    sizes = " ".join(f"{name:>15}" for name in ("peak", "persists", "host"))
    others = " ".join(f"{name:>8}" for name in ("replays", "sends", "% time", "lower s", "plan s"))
    print(f"{'depth':>6} {'update':6} {sizes} {others}")
    with tempfile.TemporaryDirectory() as scratch:
        for least in told.depths or [DEPTHS[not told.apart]]:
            depth, path = written(least, told.batch, Path(scratch))
            try:
                print(row(depth, path, wish, not told.apart), flush=True)
            except GraphError as error:
                print(f"{depth:6} {error}", flush=True)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
