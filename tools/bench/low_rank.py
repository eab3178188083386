"""What decomposition gains: AlexNet's conv3 to conv5 at published ranks, beside our own dense path.

usage: python tools/bench/low_rank.py [--batch N] [--rounds N] [--method M] [--direct]

Each layer and its chain run alone, on one thread, in turns; the least time of each counts: that of
its kernels, reorders among them. They are chosen by times that are measured first, the least of
some rounds. `theory` is the quotient of the multiply-adds, `A/A` how far two least times of the
dense layer differ. --direct leaves Winograd's convolution out, which takes fewer multiply-adds than
`theory` counts.
Ranks and published speed-ups: Wen et al., arXiv 1703.09746, table 4 (CPU).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence

import numpy as np

import graphc
from graphc.costs import keep_times
from graphc.count import macs
from graphc.driver import prepare
from graphc.front import parse_net
from graphc.passes.low_rank import LowRank

LAYERS = (
    ("conv3", 256, 384, 1, 124, 2.45),
    ("conv4", 384, 384, 2, 106, 2.76),
    ("conv5", 384, 256, 2, 129, 1.64),
    ("conv4", 384, 384, 2, 128, 0.0),
    ("conv5", 384, 256, 2, 128, 0.0),
)
"""(name, inputs, outputs, groups, rank of all groups together, published speed-up); the last two at
ranks that fill the sixteen lanes of each group."""
SIDE = 13
TUNING = 3
"""Rounds in which kernels are measured: a busy machine disturbs some of them."""


def network(inputs: int, outputs: int, group: int, batch: int) -> graphc.Graph:
    """One layer, 3 x 3 with padding 1, and a ReLU."""
    dims = "".join(f"dim: {d} " for d in (batch, inputs, SIDE, SIDE))
    text = (
        f'layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n'
        f'layer {{ name: "conv" type: "Convolution" bottom: "x" top: "y" convolution_param {{ '
        f"num_output: {outputs} kernel_size: 3 pad: 1 group: {group} "
        'weight_filler { type: "msra" } } }\n'
        'layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }\n'
    )
    return prepare(parse_net(text))


def tune(nets: Sequence[graphc.Graph]) -> None:
    """Into the cache: the least time of every kernel that could do a layer."""
    best: dict[str, float] = {}
    for _ in range(TUNING):
        for net in nets:
            for key, us in graphc.tune(net, threads=1, again=True).times.items():
                best[key] = min(us, best.get(key, us))
    keep_times(best, threads=1)


def least(runs: list[graphc.Executable], feeds: dict[str, np.ndarray], rounds: int) -> list[float]:
    """The least time of each, in turns, us."""
    best = [float("inf")] * len(runs)
    for exe in runs:
        exe.run(feeds)
    for _ in range(rounds):
        for at, exe in enumerate(runs):
            exe.run(feeds)
            best[at] = min(best[at], sum(exe.times()))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--method", default="pca")
    parser.add_argument("--direct", action="store_true")
    options = parser.parse_args()
    if options.direct:
        symbols = {s for s in graphc._core.kernel_symbols() if "winograd" not in s}
        graphc._core.kernel_symbols = lambda: symbols
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GRAPHC_CACHE"] = cache
        compare(options.batch, options.rounds, options.method)


def compare(batch: int, rounds: int, method: str) -> None:
    print("layer  rank    dense us    chain us  speed-up  theory  share  published  A/A")
    for name, inputs, outputs, group, rank, published in LAYERS:
        net = network(inputs, outputs, group, batch)
        each = LowRank(method=method, rank=(rank,), when="always")
        made, _ = graphc.optimize(net, [each], measure=False)
        tune((net, made))
        runs = [graphc.compile(g, passes=(), threads=1) for g in (net, made, net)]
        x = np.random.default_rng(0).standard_normal((batch, inputs, SIDE, SIDE))
        dense, chain, again = least(runs, {"x": x.astype(np.float32)}, rounds)
        theory = sum(map(macs, net.nodes)) / sum(map(macs, made.nodes))
        gain = min(dense, again) / chain
        spread = abs(dense - again) / min(dense, again)
        print(
            f"{name}  {rank:4}  {dense:10.1f}  {chain:10.1f}  {gain:8.2f}  {theory:6.2f}  "
            f"{100 * gain / theory:4.0f} %  {published:9.2f}  {100 * spread:.1f} %"
        )


if __name__ == "__main__":
    main()
