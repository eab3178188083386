"""Makes graphc/tables/cpu.json: the rates that kernels reach on one thread of this machine.

usage: python tools/cost_table.py [--only SYMBOL]... [NET...]
       NET: folders of models/; default: those of the benchmark

With --only, the table keeps what it says of all other kernels.

Every kernel that can do a layer of the networks, or a gradient of one, is measured as `graphc tune`
does. A kernel's GFLOP/s is the median over its uses with many products a byte, its GB/s that over
the others; one that is always the one or the other keeps the default for what it never was. Run it
on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from statistics import median

from graphc.costs import TABLE
from graphc.ir.graph import Graph
from graphc.lower.cpu import problems
from graphc.memory import pinned_values, prepared
from graphc.ops.kernel import Cost
from graphc.tuning import measure

MODELS = Path(__file__).resolve().parent.parent / "models"
NETS = ("alexnet", "googlenet", "resnet50", "squeezenet_v1.1", "mobilenet_v1", "vgg16")
TRAIN_BATCH = 8
DENSE = 10.0
"""Products a byte from which on a use is bound by computing."""
DEFAULT = {"gflops": 50.0, "gbps": 8.0, "start_us": 1.0}
ABOUT = (
    "Rates that kernels of the C++ core reach on one thread: GFLOP/s of sums of products, GB/s of "
    "operands. The slower of the two is the estimate where nothing was measured. Made by "
    "tools/cost_table.py on an AVX-512 core (2 x 512-bit FMA); `default` is a guess for the rest."
)


def measured(nets: Collection[str], only: Collection[str]) -> dict[str, list[tuple[Cost, float]]]:
    """(cost, microseconds) of every use, by kernel; `only`: of these, where there are any."""
    found: dict[str, list[tuple[Cost, float]]] = defaultdict(list)
    seen: set[str] = set()
    for name in nets:
        for graph in variations(MODELS / name):
            for key, (problem, cost) in problems(graph, pinned_values(graph, ())).items():
                if key not in seen and (not only or problem.symbol in only):
                    seen.add(key)
                    found[problem.symbol].append((cost, measure(problem, threads=1)))
        print(f"{name}: {len(seen)} kernels so far", file=sys.stderr)
    return found


def variations(folder: Path) -> Iterator[Graph]:
    """A network as it is compiled with passes, without, and for training."""
    for passes in ("default", ()):
        net = folder / "deploy.prototxt"
        yield prepared(net, train=False, batch=None, keep=(), passes=passes)
    yield prepared(folder / "train.prototxt", train=True, batch=TRAIN_BATCH, keep=())


def rate(uses: list[tuple[Cost, float]]) -> dict[str, float]:
    computed, moved = [], []
    for cost, us in uses:
        nbytes = cost.read + cost.write
        if cost.macs > DENSE * nbytes:
            computed.append(2e-3 * cost.macs / us)
        else:
            moved.append(1e-3 * nbytes / us)
    told = dict(DEFAULT)
    if computed:
        told["gflops"] = round(median(computed), 1)
    if moved:
        told["gbps"] = round(median(moved), 1)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the rates of graphc/tables/cpu.json.")
    parser.add_argument("--only", metavar="SYMBOL", action="append", default=[])
    parser.add_argument("nets", metavar="NET", nargs="*", default=NETS)
    told = parser.parse_args()
    rates = json.loads(TABLE.read_text("utf-8"))["kernels"] if told.only else {}
    rates |= {symbol: rate(uses) for symbol, uses in measured(told.nets, told.only).items()}
    rows = [f"    {json.dumps(symbol)}: {json.dumps(rates[symbol])}" for symbol in sorted(rates)]
    head = f'{{\n  "about": {json.dumps(ABOUT)},\n  "default": {json.dumps(DEFAULT)},\n'
    text = f'{head}  "kernels": {{\n' + ",\n".join(rows) + "\n  }\n}\n"
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
