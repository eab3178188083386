"""Network: layers as plain numbers and arrays, from which every engine's own format is written.

Needs NumPy alone, so that an engine's process can read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]

DESCRIPTION, WEIGHTS = "net.json", "weights.bin"
ALIGN = 64  # bytes; an array that is mapped may then be read with vector instructions


@dataclass(frozen=True)
class Layer:
    """One call; `shape` is that of `out`. Pairs are (rows, columns).

    | kind | options | arrays |
    |---|---|---|
    | conv | kernel, stride, pad, dilation (pairs), group, relu | weight (O, C/group, h, w), bias? |
    | inner_product | relu | weight (O, K), bias? |
    | batch_norm | eps | mean, variance, weight, bias (C,) |
    | scale | | weight (C,), bias? |
    | max_pool, mean_pool | kernel, stride, begin, end (pairs), ceil, whole | |
    | lrn | size, alpha, beta, k | |
    | relu | slope | |
    | concat, add, softmax | | |

    Pooling windows cover `begin` rows before and `end` rows after the plane, which count for
    nothing in a maximum. `ceil`: Caffe's formula rounds up. `whole`: one window, the plane.
    Concatenation and softmax go along the channels.
    """

    kind: str
    name: str
    ins: tuple[str, ...]
    out: str
    shape: Shape
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """Layers in execution order; one input of shape (N, C, H, W) and one output."""

    name: str
    input: str
    shape: Shape
    output: str
    layers: tuple[Layer, ...]

    def weight_bytes(self) -> int:
        return sum(array.nbytes for layer in self.layers for array in layer.arrays.values())

    def save(self, folder: Path) -> None:
        """Write net.json and weights.bin."""
        rows, at = [], 0
        with (folder / WEIGHTS).open("wb") as file:
            for layer in self.layers:
                row = asdict(layer) | {"arrays": {}}
                for name, array in layer.arrays.items():
                    file.write(bytes(-at % ALIGN))
                    at += -at % ALIGN
                    row["arrays"][name] = [at, list(array.shape)]
                    file.write(np.ascontiguousarray(array, np.float32).data)
                    at += array.nbytes
                rows.append(row)
        head = {"name": self.name, "input": self.input, "shape": self.shape, "output": self.output}
        (folder / DESCRIPTION).write_text(json.dumps(head | {"layers": rows}), encoding="utf-8")


def load(folder: Path) -> Network:
    """Read what `Network.save` wrote; the arrays are mapped, and copied where written to."""
    told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    memory: Any = np.zeros(0, np.uint8)
    if (folder / WEIGHTS).stat().st_size:
        memory = np.memmap(folder / WEIGHTS, np.uint8, "c")
    layers = tuple(_layer(row, memory) for row in told["layers"])
    return Network(told["name"], told["input"], tuple(told["shape"]), told["output"], layers)


def _layer(row: Mapping[str, Any], memory: Any) -> Layer:
    arrays = {
        name: memory[at : at + 4 * int(np.prod(shape))].view(np.float32).reshape(shape)
        for name, (at, shape) in row["arrays"].items()
    }
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in row["options"].items()}
    return Layer(
        row["kind"],
        row["name"],
        tuple(row["ins"]),
        row["out"],
        tuple(row["shape"]),
        options,
        arrays,
    )
