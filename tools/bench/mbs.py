"""What mini-batch serialization does to time: whole batches against sub-batches, interleaved.

usage: python tools/bench/mbs.py [--nets chain,norms,mobilenet_v1] [--caches 512KiB,4MiB]
    [--threads N] [--rounds N] [--json FILE]

`chain`: 8 elementwise layers on tensors of 64 MiB. `norms`: BatchNorm with known statistics, Scale,
ReLU and a sum by turns, none of them folded. Others are models of this repository, after the
default passes. In each round every way runs once, in another order; the whole batch has two ways
that are the same, whose ratio is what chance does. Prints the median ms of a run and of its calls
alone, the median over rounds of whole / serialized of the latter with its quartiles, the bytes
counted, and the work arena.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import graphc
from graphc.errors import GraphError

ROOT = Path(__file__).resolve().parents[2]
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
BATCH = {"chain": 1024, "norms": 1024}
MODEL_BATCH = 32
SHAPE = (4, 64, 64)
"""1,024 samples of it are 64 MiB."""
SELF, AGAIN = "whole", "whole again"


def layer(name: str, type_: str, bottoms: str, more: str = "") -> str:
    read = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{type_}" {read} top: "{name}" {more} }}\n'


def feed(batch: int) -> str:
    dims = " ".join(f"dim: {dim}" for dim in (batch, *SHAPE))
    return (
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}\n'
    )


def chain(batch: int) -> str:
    """Elementwise layers of which no pass merges two."""
    kinds = (
        ("Power", "power_param { scale: 0.5 shift: 0.1 }"),
        ("ReLU", ""),
        ("Scale", "scale_param { bias_term: true }"),
        ("AbsVal", ""),
    )
    text, last = feed(batch), "data"
    for at in range(8):
        type_, more = kinds[at % len(kinds)]
        text += layer(f"l{at}", type_, last, more)
        last = f"l{at}"
    return text


def norms(batch: int) -> str:
    text, last = feed(batch), "data"
    for at in range(4):
        text += layer(f"n{at}", "BatchNorm", last)
        text += layer(f"s{at}", "Scale", f"n{at}", "scale_param { bias_term: true }")
        text += layer(f"r{at}", "ReLU", f"s{at}")
        text += layer(f"e{at}", "Eltwise", f"r{at} {last}")
        last = f"e{at}"
    return text


def opened(net: str, batch: int, **how: Any) -> graphc.Executable:
    makers = {"chain": chain, "norms": norms}
    if net not in makers:
        path = ROOT / "models" / net / "deploy.prototxt"
        return graphc.compile(path, batch=batch, **how)
    from graphc.driver import prepare
    from graphc.front import parse_net

    graph = prepare(parse_net(makers[net](batch), phase="TEST"))
    return graphc.compile(graph, passes=(), **how)


def usual_caches() -> list[str]:
    """0.7 of the second level's cache, and half of the third's, as far as this machine tells."""
    found = {}
    for place in sorted(CACHES.glob("index*")):
        kind = (place / "type").read_text().strip()
        if kind != "Instruction":
            size = (place / "size").read_text().strip()
            found[(place / "level").read_text().strip()] = int(size.rstrip("K")) << 10
    shares = {"2": 0.7, "3": 0.5}
    return [f"{int(share * found[level])}B" for level, share in shares.items() if level in found]


def timed(exe: graphc.Executable, feeds: dict[str, Any]) -> tuple[float, float]:
    """ms of a run, and of its calls alone: without copies of what is fed and returned."""
    start = time.perf_counter()
    exe.run(feeds)
    return 1e3 * (time.perf_counter() - start), sum(exe.times()) / 1e3


def measured(net: str, caches: list[str], threads: int, rounds: int) -> dict[str, Any]:
    batch = BATCH.get(net, MODEL_BATCH)
    ways: dict[str, graphc.Executable] = {}
    for name in (SELF, AGAIN):
        ways[name] = opened(net, batch, threads=threads)
    for cache in caches:
        try:
            ways[cache] = opened(net, batch, threads=threads, mbs=cache)
        except GraphError as error:
            print(f"{net}, {cache}: {error.message}", file=sys.stderr)
    rng = np.random.default_rng(0)
    shapes = ways[SELF].inputs.items()
    feeds = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes}
    right = ways[SELF].run(feeds)
    for exe in ways.values():  # also the first run of each
        for name, array in exe.run(feeds).items():
            scale = max(1e-30, float(np.abs(right[name]).max()))
            assert np.abs(array - right[name]).max() <= 1e-5 * scale, name
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    order = list(ways)
    shuffle = random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(timed(ways[name], feeds))
    rows = []
    for name, exe in ways.items():
        ratios = [a[1] / b[1] for a, b in zip(times[SELF], times[name], strict=True)]
        quartiles = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        run, calls = map(statistics.median, zip(*times[name], strict=True))
        row = {"way": name, "ms": run, "calls": calls, "faster": quartiles}
        row |= {"moved": sum(exe.moved()), "work": exe.plan.work_bytes}
        rows.append(row | {"steps": len(exe.plan.steps)})
    return {"net": net, "batch": batch, "threads": threads, "rounds": rounds, "rows": rows}


def table(found: dict[str, Any]) -> str:
    head = f"{found['net']}, batch {found['batch']}, threads {found['threads']}"
    lines = [f"{head}, {found['rounds']} rounds"]
    names = f"{'run ms':>8} {'calls ms':>8} {'faster':>8} {'quartiles':>15}"
    lines.append(f"{'':>14} {names} {'moved MB':>9} {'work MB':>8}")
    for row in found["rows"]:
        low, middle, high = row["faster"]
        times = f"{row['ms']:8.2f} {row['calls']:8.2f} {middle:7.3f}x"
        sizes = f"{row['moved'] / 1e6:9.1f} {row['work'] / 1e6:8.1f}"
        lines.append(f"{row['way']:>14} {times} {f'{low:.3f}-{high:.3f}x':>15} {sizes}")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--nets", default="chain,norms,mobilenet_v1")
    parser.add_argument("--caches", default=",".join(usual_caches()))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path)
    to = parser.parse_args(words)
    found = []
    for net in to.nets.split(","):
        found.append(measured(net, to.caches.split(","), to.threads, to.rounds))
        print(table(found[-1]), flush=True)
    if to.json:
        to.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
