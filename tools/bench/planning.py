"""How long planning takes: ResNet-152 and a long chain, lowered, planned and verified.

usage: python tools/bench/planning.py [--layers N] [--repeat N]

Prints the least of the repeated times in ms of CPU, and how much larger the work arena is than its
neediest step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import graphc
from graphc.memory import lowered
from graphc.plan import plan_program, verify_plan

ROOT = Path(__file__).resolve().parents[2]
INPUT = 'layer { name: "data" type: "Input" top: "b0" input_param { shape { dim: 8 dim: 16 } } }\n'
KINDS = ('type: "InnerProduct" inner_product_param { num_output: 16 }', 'type: "TanH"')
TARGETS = (("model", False), ("model", True), ("cpu", False), ("cpu", True))
"""(target, with gradients)"""
T = TypeVar("T")


def chain(layers: int) -> str:
    """Inner products and TanH by turns, each of 16 outputs."""
    lines = [INPUT]
    for number in range(layers):
        ends = f'name: "l{number}" bottom: "b{number}" top: "b{number + 1}"'
        lines.append(f"layer {{ {ends} {KINDS[number % 2]} }}\n")
    return "".join(lines)


def least(repeat: int, work: Callable[[], T]) -> tuple[float, T]:
    """The shortest of some runs in ms of CPU, and the last one's result."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        made = work()
        times.append(1e3 * (time.process_time() - start))
    return min(times), made


def rows(name: str, net: graphc.Graph, repeat: int) -> Iterator[str]:
    for target, train in TARGETS:
        whole, made = least(repeat, lambda t=target, g=train: lowered(net, target=t, train=g))
        plan = made.plan
        planning, _ = least(repeat, lambda m=made: plan_program(m.program))
        checking, _ = least(repeat, lambda m=made: verify_plan(m.program, m.plan))
        kind = "training" if train else "inference"
        waste = plan.work_bytes / max(1, plan.live_bound)
        yield (
            f"{name:14} {target:6} {kind:10} {len(plan.steps):6} {planning:8.0f} {checking:8.0f} "
            f"{whole:8.0f}   {waste:.4f}"
        )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Time the memory planner.")
    parser.add_argument("--layers", type=int, default=10_000, help="length of the chain")
    parser.add_argument("--repeat", type=int, default=3)
    told = parser.parse_args(words)
    head = f"{'net':14} {'target':6} {'':10} {'steps':>6} {'plan':>8} {'verify':>8} {'all':>8}"
    print(f"{head}   x live")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "chain.prototxt"
        path.write_text(chain(told.layers))
        deep = ROOT / "models" / "resnet152"
        for name, file in (("resnet152", deep / "deploy.prototxt"), ("chain", path)):
            for row in rows(name, graphc.load(file), told.repeat):
                print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
