"""Does memory stay with the process that compiles, runs, reshapes and drops a network many times?

usage: python tools/soak.py [--cycles N] [--warm-up N] [--limit MIB]

Prints the resident memory as it goes, and exits with 1 if it has grown by the limit or more between
the end of the warm-up and the end.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import graphc

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 16 dim: 16 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 8 kernel_size: 3 pad: 1
                            weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool"
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "deep" type: "Convolution" bottom: "pool" top: "deep"
        convolution_param { num_output: 8 kernel_size: 3 pad: 1 group: 8
                            weight_filler { type: "xavier" } } }
layer { name: "exp" type: "Exp" bottom: "deep" top: "exp" }
layer { name: "join" type: "Concat" bottom: "exp" bottom: "pool" top: "join" }
layer { name: "mean" type: "Pooling" bottom: "join" top: "mean"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "mean" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
SHAPES = ((2, 3, 16, 16), (5, 3, 16, 16), (2, 3, 20, 12))
REPORTS = 10


def network_cycle(folder: Path) -> Callable[[], None]:
    """What one cycle does with a network whose prototxt is put into the folder."""
    path = folder / "net.prototxt"
    path.write_text(NET)
    net = graphc.load(path)
    feeds = [{"data": np.full(shape, 0.5, np.float32)} for shape in SHAPES]

    def cycle() -> None:
        exe = graphc.compile(net, target="cpu", threads=2)
        for feed in feeds:
            exe.run(feed)
        exe.params["conv"][0][...] *= 0.5
        exe.run(feeds[0])

    return cycle


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def growth(cycle: Callable[[], None], cycles: int, warm_up: int) -> int:
    """Bytes of resident memory that `cycles` cycles add to what `warm_up` ones have taken."""
    for _ in range(warm_up):
        cycle()
    first, start = resident(), time.perf_counter()
    print(f"after {warm_up} cycles to warm up: {first / 2**20:.2f} MiB", flush=True)
    now = first
    for done in range(1, cycles + 1):
        cycle()
        if done * REPORTS % cycles < REPORTS:
            now = resident()
            each = 1e3 * (time.perf_counter() - start) / done
            print(f"{done:6} cycles: {(now - first) / 2**20:+.2f} MiB, {each:.1f} ms each")
            sys.stdout.flush()
    return now - first


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Look for memory that is never given back.")
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--limit", type=float, default=5.0, help="MiB")
    told = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        grown = growth(network_cycle(Path(folder)), told.cycles, told.warm_up) / 2**20
    verdict = "ok" if grown < told.limit else "too much"
    print(f"grown by {grown:.2f} MiB, allowed {told.limit:g}: {verdict}")
    return int(grown >= told.limit)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
