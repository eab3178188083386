"""Makes graphc/tables/cpu.json: the rates that kernels reach on one thread of this machine.

usage: python tools/cost_table.py [--only SYMBOL]... [--link] [NET...]
       NET: folders of models/; default: those of the benchmark

With --only, the table keeps what it says of all other kernels, with --link that of all.

Every kernel that can do a layer of the networks, or a gradient of one, is measured as `graphc tune`
does. A kernel's GFLOP/s is the median over its uses with many products a byte, its GB/s that over
the others; one that is always the one or the other keeps the default for what it never was. The
link to a host pool is what two threads that copy at once, one each way, reach in nine of ten
copies, and the median time until a thread that waits has begun. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from threading import Barrier, Event
from time import perf_counter, sleep

import numpy as np

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
    "tools/cost_table.py on an AVX-512 core (2 x 512-bit FMA); `default` is a guess for the rest. "
    "`link`: copies to a host pool in memory, both ways at once, as nine of ten were on two such "
    "cores; for a pool in a file, what the page cache takes is no slower."
)
COPY, TIMES = 64 << 20, 40
"""Bytes and number of the copies that the link is measured by."""


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


def link() -> dict[str, float]:
    """What copies take that run both ways at once, beside each other."""
    meet = Barrier(2)

    def copies(_: int) -> list[float]:
        source, target = np.ones(COPY, np.uint8), np.zeros(COPY, np.uint8)
        found = []
        for _ in range(TIMES):
            meet.wait()
            start = perf_counter()
            np.copyto(target, source)
            found.append(perf_counter() - start)
        return found

    with ThreadPoolExecutor(2) as pool:
        taken = sorted(s for found in pool.map(copies, range(2)) for s in found)
    begun, done = Event(), Event()
    asked, waited = [0.0], list[float]()

    def answer() -> None:
        for _ in range(TIMES):
            begun.wait()
            waited.append(perf_counter() - asked[0])
            begun.clear()
            done.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(answer)
        for _ in range(TIMES):
            sleep(1e-3)  # so that the other thread sleeps, too
            done.clear()
            asked[0] = perf_counter()
            begun.set()
            done.wait()
    slow = taken[len(taken) * 9 // 10]
    return {"gbps": round(COPY / slow / 1e9, 1), "start_us": round(1e6 * median(waited), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the rates of graphc/tables/cpu.json.")
    parser.add_argument("--only", metavar="SYMBOL", action="append", default=[])
    parser.add_argument("--link", action="store_true", help="measure the link alone")
    parser.add_argument("nets", metavar="NET", nargs="*", default=NETS)
    told = parser.parse_args()
    known = json.loads(TABLE.read_text("utf-8"))
    rates = known["kernels"] if told.only or told.link else {}
    if not told.link:
        rates |= {symbol: rate(uses) for symbol, uses in measured(told.nets, told.only).items()}
    copies = known["link"] if told.only else link()
    rows = [f"    {json.dumps(symbol)}: {json.dumps(rates[symbol])}" for symbol in sorted(rates)]
    head = f'{{\n  "about": {json.dumps(ABOUT)},\n  "default": {json.dumps(DEFAULT)},\n'
    head += f'  "link": {json.dumps(copies)},\n'
    text = f'{head}  "kernels": {{\n' + ",\n".join(rows) + "\n  }\n}\n"
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
