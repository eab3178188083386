"""write_ncnn: a Network as ncnn's .param text and .bin weights, batch norms and ReLUs folded in.

ncnn folds nothing when it loads; its own tool ncnnoptimize does so beforehand, and this writes what
it would leave. A blob with several readers goes through a Split. Numbers of the parameters: ncnn's
wiki, "operators" and "param and model file structure".
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.peers.folding import affine, fold
from bench.peers.plain import Array, Layer, Network

MAGIC = 7767517
FULL_FLOAT = struct.pack("<I", 0)  # stands before weights that are float32

Numbers = dict[int, Any]


def write_ncnn(network: Network, param: Path, weights: Path) -> None:
    """One image per run: ncnn has no batch."""
    folded = fold(network)
    _, channels, rows, columns = folded.shape
    readers = Counter(name for layer in folded.layers for name in layer.ins)
    lines = [_line("Input", "input", (), [folded.input], {0: columns, 1: rows, 2: channels})]
    taken: Counter[str] = Counter()

    def split(name: str) -> None:
        count = readers[name]
        if count > 1:
            outs = [f"{name}.{i}" for i in range(count)]
            lines.append(_line("Split", f"{name}.split", (name,), outs, {}))

    def reader(name: str) -> str:
        taken[name] += 1
        return f"{name}.{taken[name] - 1}" if readers[name] > 1 else name

    split(folded.input)
    with weights.open("wb") as file:
        for layer in folded.layers:
            kind, numbers = _told(layer, file)
            ins = [reader(name) for name in layer.ins]
            lines.append(_line(kind, layer.name, ins, [layer.out], numbers))
            split(layer.out)
    blobs = sum(int(line.split()[3]) for line in lines)
    param.write_text("\n".join([str(MAGIC), f"{len(lines)} {blobs}", *lines, ""]), "utf-8")


def _line(kind: str, name: str, ins: Any, outs: list[str], numbers: Numbers) -> str:
    told = " ".join(f"{key}={value}" for key, value in numbers.items())
    return " ".join([kind, name, str(len(ins)), str(len(outs)), *ins, *outs, told]).rstrip()


def _raw(file: IO[bytes], *arrays: Array) -> None:
    for array in arrays:
        file.write(np.ascontiguousarray(array, np.float32).data)


def _told(layer: Layer, file: IO[bytes]) -> tuple[str, Numbers]:
    """ncnn's type and its numbered parameters; writes the weights in ncnn's order."""
    options, arrays = layer.options, layer.arrays
    if layer.kind in ("conv", "inner_product"):
        file.write(FULL_FLOAT)
        _raw(file, arrays["weight"], *([arrays["bias"]] if "bias" in arrays else ()))
        return _product(layer)
    if layer.kind in ("batch_norm", "scale"):
        factor, shift = affine(layer)
        _raw(file, factor, shift)
        return "Scale", {0: factor.size, 1: 1}
    if layer.kind in ("max_pool", "mean_pool"):
        return "Pooling", _pool(layer)
    if layer.kind == "lrn":
        numbers = {0: 0, 1: options["size"], 2: options["alpha"], 3: options["beta"]}
        return "LRN", numbers | {4: options["k"]}
    return {
        "relu": ("ReLU", {0: options.get("slope", 0.0)}),
        "concat": ("Concat", {0: 0}),
        "add": ("Eltwise", {0: 1}),
        "softmax": ("Softmax", {0: 0, 1: 1}),
    }[layer.kind]


def _product(layer: Layer) -> tuple[str, Numbers]:
    options, weight = layer.options, layer.arrays["weight"]
    outputs, has_bias = weight.shape[0], int("bias" in layer.arrays)
    if layer.kind == "inner_product":
        numbers: Numbers = {0: outputs, 1: has_bias, 2: weight.size}
        kind = "InnerProduct"
    else:
        numbers = {0: outputs, 5: has_bias, 6: weight.size}
        for column, row, name in ((1, 11, "kernel"), (2, 12, "dilation"), (3, 13, "stride")):
            numbers |= {row: options[name][0], column: options[name][1]}
        numbers |= {14: options["pad"][0], 4: options["pad"][1]}
        kind = "Convolution"
        if options["group"] > 1:
            kind, numbers[7] = "ConvolutionDepthWise", options["group"]
    if options["relu"]:
        numbers[9] = 1
    return kind, dict(sorted(numbers.items()))


def _pool(layer: Layer) -> Numbers:
    """Explicit padding on all four sides (pad mode 1), so that ncnn does no rounding of its own."""
    options, is_mean = layer.options, int(layer.kind == "mean_pool")
    if options["whole"]:
        return {0: is_mean, 4: 1}
    numbers: Numbers = {0: is_mean, 5: 1, 6: is_mean and int(any(options["begin"]))}
    numbers |= {11: options["kernel"][0], 1: options["kernel"][1]}
    numbers |= {12: options["stride"][0], 2: options["stride"][1]}
    numbers |= {13: options["begin"][0], 3: options["begin"][1]}
    numbers |= {15: options["end"][0], 14: options["end"][1]}
    # 14 and 15 are right and bottom here, unlike in a convolution
    return dict(sorted(numbers.items()))
