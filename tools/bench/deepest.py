"""How deep a ResNet trains within a budget: plans of (6, 32, n3, 6) bottlenecks of 224x224 images.

usage: python tools/bench/deepest.py [DEPTH ...] [--batch N] [--memory SIZE] [--apart]

Prints for each depth the bytes of the plan, those of them that persist, its replays, the time they
add by estimate, and the seconds of reading, lowering, planning and verifying. Target is model.
`--apart`: gradients are kept until all are there, and then parameters are updated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nets.residual import resnet

from graphc.budget import checked_size
from graphc.errors import GraphError
from graphc.memory import lowered
from graphc.plan.wish import Wish
from graphc.plan.within import replay_us

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


def row(depth: int, path: Path, memory: int, fused: bool) -> str:
    """A plan's figures; raises GC-M001 if there is none within `memory` bytes."""
    start = time.perf_counter()
    made = lowered(path, train=True, target="model", fused_update=fused, wish=Wish(memory=memory))
    seconds = time.perf_counter() - start
    plan, again = made.plan, replay_us(made.program, made.plan)
    replays = sum(step.instance > 0 for step in plan.steps)
    share = 100 * again / (plan.est_us - again)
    kind = "fused" if fused else "apart"
    persists = plan.peak_bytes - plan.work_bytes
    return (
        f"{depth:6} {kind:6} {plan.peak_bytes:15,} {persists:15,} {replays:8} {share:8.1f} "
        f"{seconds:8.1f}"
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Plan deep residual networks within a budget.")
    parser.add_argument("depths", nargs="*", type=int, metavar="DEPTH", help="at least so deep")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--memory", default="12GB", metavar="SIZE")
    parser.add_argument("--apart", action="store_true", help="updates are not fused")
    told = parser.parse_args(words)
    memory, failed = checked_size(told.memory), False
    head = f"{'depth':>6} {'update':6} {'peak':>15} {'persists':>15} {'replays':>8}"
    print(f"{head} {'% time':>8} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        for least in told.depths or [DEPTHS[not told.apart]]:
            depth, path = written(least, told.batch, Path(scratch))
            try:
                print(row(depth, path, memory, not told.apart), flush=True)
            except GraphError as error:
                print(f"{depth:6} {error}", flush=True)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
