"""Sparse convolution against the fastest dense kernel there is, layer by layer, on one thread.

python tools/bench/sparse.py [--layers a,b] [--zeros 0.8,0.9] [--rounds 7] [--direct] [--json FILE]
python tools/bench/sparse.py --net deploy.prototxt ... [--weights FILE] [--convolutions] ...

The dense kernels (matrix product, oneDNN, Winograd) get operands in their own format, for nothing;
the sparse one copies x into its padded planes within its time. Rounds alternate between dense,
sparse and dense again; figures are the fastest runs of all rounds, and A/A how far the two dense
ones are apart. Weights are out of the caches before each run, as between other layers. --direct
leaves Winograd's convolution out, which multiplies a quarter as often as there are weights. With
--net, each network (random weights, unless a file is given), pruned by prune_weights, with
--convolutions in these alone, runs dense, as sparse_layout lays it out, and dense again; where that
changes nothing, A/A is of all three. Exits with 1 if one is slower so than dense by more than A/A.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import graphc
from graphc import _core
from graphc.check.case import signature
from graphc.ir.op import Sig
from graphc.ops.convolution import Convolution, ConvolutionAttrs
from graphc.ops.kernel import BLOCKED, Kernel
from graphc.passes._weights import put, weighted_layers
from graphc.passes.prune_weights import PruneWeights
from graphc.passes.sparse_layout import SparseLayout
from graphc.services import sample_inputs

SECONDS, LEAST, TURN = 0.05, 3, 0.01
Timer = Callable[[], float]
"""Microseconds of the fastest of some runs."""


def conv(
    channels: int, size: int, outputs: int, kernel: int = 3, group: int = 1
) -> tuple[int, ...]:
    return channels, size, outputs, kernel, group


LAYERS = {
    "alexnet conv2": conv(96, 27, 256, 5, 2),
    "alexnet conv3": conv(256, 13, 384),
    "resnet-50 res2 3x3": conv(64, 56, 64),
    "resnet-50 res3 3x3": conv(128, 28, 128),
    "resnet-50 res4 3x3": conv(256, 14, 256),
    "resnet-50 res5 3x3": conv(512, 7, 512),
    "resnet-50 res4 1x1 1024-256": conv(1024, 14, 256, 1),
    "resnet-50 res2 1x1 256-64": conv(256, 56, 64, 1),
}


def attrs_of(layer: tuple[int, ...], mode: str) -> tuple[ConvolutionAttrs, Sig]:
    channels, size, outputs, kernel, group = layer
    attrs = ConvolutionAttrs(
        num_output=outputs, kernel_size=(kernel,), pad=(kernel // 2,), group=group, conv_mode=mode
    )
    return attrs, signature(Convolution, attrs, ((1, channels, size, size),), 1, "TEST")


def weight_of(sig: Sig, zeros: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(sig.params["weight"].shape).astype(np.float32)
    weight[rng.random(weight.shape) < zeros] = 0
    return weight


def timers(layer: tuple[int, ...], mode: str, zeros: float) -> dict[str, Timer]:
    """One for each kernel that can do the layer in this mode."""
    attrs, sig = attrs_of(layer, mode)
    weight = weight_of(sig, zeros)
    found: dict[str, Timer] = {}
    for row in Convolution.kernels:
        if row.backend == "cpu" and row.part == "forward" and row.when and row.when(attrs, sig):
            for sides in row.formats:
                if sides[0] == sides[1]:
                    timer = timer_of(row, attrs, sig, weight, BLOCKED in sides)
                    found[row.symbol] = timer
    return found


def timer_of(
    row: Kernel, attrs: ConvolutionAttrs, sig: Sig, weight: np.ndarray, is_blocked: bool
) -> Timer:
    told = dict(row.attrs(attrs, sig)) if row.attrs else {}
    block = _core.channel_block()
    if is_blocked:
        told |= {"block": block, "plain": False}
    if row.stores is not None:
        told["stored"] = max(1, row.stores(attrs, weight))
    x, y = (
        image(sig.ins["x0"].shape, block * is_blocked),
        image(sig["y0"].shape, block * is_blocked),
    )
    bias = np.zeros(attrs.num_output, np.float32)

    def made(packed: np.ndarray | None) -> _core.Kernel:
        second = ("f32", (0,), (1,)) if packed is None else spec(packed)
        return _core.make_kernel(row.symbol, [spec(x), second, spec(bias)], [spec(y)], told, 1)

    operand = weight
    if row.packs:
        (pack,) = row.packs
        size = made(None).packed if pack.size is None else pack.size(attrs, sig)
        operand = np.zeros(size, np.float32)
        packing = _core.make_kernel(pack.symbol, [spec(weight)], [spec(operand)], told, 1)
        packing.run([weight], [operand], 1)
    kernel = made(operand)
    return lambda: kernel.time([x, operand, bias], [y], LEAST, SECONDS, (1,))


def image(shape: tuple[int, ...], block: int) -> np.ndarray:
    n, c, h, w = shape
    dims = (n, -(-c // block), h, w, block) if block else shape
    return np.random.default_rng(1).standard_normal(dims).astype(np.float32)


def spec(array: np.ndarray) -> _core.Spec:
    return "f32", array.shape, tuple(s // 4 for s in array.strides)


def measure(
    layer: tuple[int, ...], zeros: float, rounds: int, is_direct: bool
) -> dict[str, float | str]:
    """Microseconds of the fastest dense kernel, twice, and of the sparse one."""
    dense = timers(layer, "LOWERED_GEMM", zeros)
    if is_direct:
        dense = {symbol: timer for symbol, timer in dense.items() if "winograd" not in symbol}
    best = min(dense, key=lambda symbol: min(dense[symbol]() for _ in range(2)))
    (sparse,) = timers(layer, "DIRECT_SCONV", zeros).values()
    times = [(dense[best](), sparse(), dense[best]()) for _ in range(rounds)]
    first, middle, again = (min(column) for column in zip(*times, strict=True))
    return {
        "dense kernel": best,
        "dense": min(first, again),
        "sparse": middle,
        "apart": abs(first - again) / min(first, again),
    }


def fill(graph: graphc.Graph) -> None:
    """Random numbers for weights; a deploy net's fillers make zeros."""
    rng = np.random.default_rng(0)
    for layer in weighted_layers(graph):
        array = rng.standard_normal(layer.array(graph).shape).astype(np.float32)
        put(graph, layer, array / np.float32(np.sqrt(array[0].size)))


def measure_net(
    net: Path, weights: Path | None, zeros: float, rounds: int, only_convolutions: bool
) -> dict[str, float | str]:
    """Microseconds of a forward, dense, twice, and as sparse_layout chooses."""
    loaded = graphc.load(net, weights)
    if weights is None:
        fill(loaded)
    layers = tuple(n.name for n in loaded.forward_nodes() if n.op is Convolution)
    pruned = PruneWeights(sparsity=zeros, layers=layers if only_convolutions else ())
    prune = [pruned] if zeros else []
    graph, _ = graphc.optimize(loaded, prune, measure=False)
    laid, report = graphc.optimize(graph, [SparseLayout()], measure=False)
    exes = [graphc.compile(g, threads=1) for g in (graph, laid, graph)]
    feeds = sample_inputs(graph)
    best = [float("inf")] * 3
    for _ in range(rounds):
        for at, exe in enumerate(exes):
            began, runs = time.perf_counter(), 0
            while runs < LEAST or time.perf_counter() - began < TURN:
                start = time.perf_counter()
                exe.forward(feeds)
                best[at] = min(best[at], 1e6 * (time.perf_counter() - start))
                runs += 1
    first, middle, again = best
    (record,) = report.passes
    same = (first, again) if record.changed else best
    return {
        "dense kernel": record.detail[0],
        "dense": min(first, again),
        "sparse": middle,
        "apart": max(same) / min(same) - 1,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default=",".join(LAYERS))
    parser.add_argument("--net", type=Path, nargs="+")
    parser.add_argument("--convolutions", action="store_true", help="prune these alone")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--zeros", default="0.7,0.8,0.9,0.95")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--direct", action="store_true", help="leave Winograd's convolution out")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args(argv)
    names = list(map(str, told.net)) if told.net else told.layers.split(",")
    unknown = [name for name in names if name not in LAYERS and not told.net]
    if unknown:
        parser.error(f"no layer {unknown[0]!r}; there are {', '.join(LAYERS)}")
    found: list[dict[str, float | str]] = []
    print(f"{'layer':30} zeros  dense us  kernel          sparse us  gain   A/A")
    for name in names:
        for zeros in map(float, told.zeros.split(",")):
            if told.net:
                row = measure_net(Path(name), told.weights, zeros, told.rounds, told.convolutions)
            else:
                row = measure(LAYERS[name], zeros, told.rounds, told.direct)
            found.append({"layer": name, "zeros": zeros, **row})
            gain = float(row["dense"]) / float(row["sparse"])
            print(
                f"{_short(name):30} {zeros:5.2f} {row['dense']:9.1f}  {row['dense kernel']:15} "
                f"{row['sparse']:9.1f} {gain:5.2f}x {row['apart']:5.1%}",
                flush=True,
            )
    if told.json:
        told.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(bool(told.net) and any(map(is_slower, found)))


def is_slower(row: dict[str, float | str]) -> bool:
    """Does the sparse one take longer, by more than the dense ones differ?"""
    return float(row["sparse"]) > float(row["dense"]) * (1 + float(row["apart"]))


def _short(name: str) -> str:
    return "/".join(Path(name).parts[-2:])[-30:]


if __name__ == "__main__":
    sys.exit(main())
