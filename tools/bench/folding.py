"""What folding gains: networks as their files say, beside what the default passes make of them.

python tools/bench/folding.py [NET ...] [--rounds N] [--threads N] [--json FILE]

Random weights, batch normalization with mean 0 and variance 1. A round runs each network as it is,
folded, and as it is again, some times in turn; figures are the fastest runs of all rounds, A/A how
far the two unfolded ones are apart, and MiB what the plans take at their peak. The lowering fuses
what it can in both. Exits with 1 if a network does not gain a tenth, or takes more memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import graphc
from graphc.ops.batch_norm import BatchNorm
from graphc.services import sample_inputs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.sparse import fill

MODELS = Path(__file__).resolve().parents[2] / "models"
NETS = ("resnet50", "mobilenet_v1")
LEAST, TURN = 3, 0.05
"""How many runs a turn has at least, and how long it lasts, seconds."""
GAIN = 1.1


def loaded(path: Path) -> graphc.Graph:
    net = graphc.load(path)
    fill(net)
    for node in net.forward_nodes():
        if node.op is BatchNorm:
            mean, variance, scale = net.params[node.name]
            mean[...], variance[...], scale[...] = 0, 1, 1
    return net


def measure(path: Path, rounds: int, threads: int) -> dict[str, float]:
    """Microseconds of a forward and bytes of the plan, as the file says and folded."""
    net = loaded(path)
    exes = [graphc.compile(net, passes=p, threads=threads) for p in ((), "default", ())]
    feeds = sample_inputs(net)
    outputs = [next(iter(exe.run(feeds).values())) for exe in exes[:2]]
    best = [float("inf")] * len(exes)
    for _ in range(rounds):
        for at, exe in enumerate(exes):
            began, runs = time.perf_counter(), 0
            while runs < LEAST or time.perf_counter() - began < TURN:
                start = time.perf_counter()
                exe.forward(feeds)
                best[at] = min(best[at], 1e6 * (time.perf_counter() - start))
                runs += 1
    first, folded, again = best
    return {
        "us": min(first, again),
        "folded_us": folded,
        "apart": abs(first - again) / min(first, again),
        "peak": exes[0].plan.peak_bytes,
        "folded_peak": exes[1].plan.peak_bytes,
        "difference": float(np.abs(outputs[0] - outputs[1]).max()),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    nets = [MODELS / name / "deploy.prototxt" for name in NETS]
    parser.add_argument("nets", type=Path, nargs="*", default=nets)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args(argv)
    found: dict[str, dict[str, float]] = {}
    print(
        f"{'network':16} {'us':>9} {'folded us':>9}  gain   A/A    MiB  folded  outputs differ by"
    )
    for path in told.nets:
        row = found[str(path)] = measure(path, told.rounds, told.threads)
        print(
            f"{path.parent.name:16} {row['us']:9.0f} {row['folded_us']:9.0f} "
            f"{row['us'] / row['folded_us']:5.2f}x {row['apart']:5.1%} {row['peak'] / 2**20:6.1f} "
            f"{row['folded_peak'] / 2**20:7.1f}  {row['difference']:.1e}",
            flush=True,
        )
    if told.json:
        told.json.write_text(json.dumps(found, indent=1) + "\n")
    pays = [
        r["us"] >= GAIN * r["folded_us"] and r["folded_peak"] <= r["peak"] for r in found.values()
    ]
    return int(not all(pays))


if __name__ == "__main__":
    sys.exit(main())
