"""Small random nets of everything that ties channels, and what they are with filters zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from texts import feed, graph, layer

import graphc
from graphc.channels import Channels
from graphc.ir.clone import clone
from graphc.ir.graph import typed
from graphc.ir.op import Kind

FILLERS = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'
UNIFORM = '{ type: "uniform" min: 0.5 max: 1.5 }'
AFTER = (
    "relu", "bn", "scale", "prelu", "pool", "average", "sigmoid", "lrn", "power", "dropout",
    "conv", "conv", "group", "depthwise", "double", "deconv", "residual", "concat", "twice",
    "slice", "twin", "branch", "across", "gate", "mvn", "flat", "permuted",
)  # fmt: skip


class Maker:
    """A net in the making; `blobs`: shapes of blobs (N, C, H, W) that may be read."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers = [feed(data=(2, 3, 6, 6))]
        self.channels: dict[str, int] = {"data": 3}
        self.side = 6

    def pick(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def put(self, kind: str, x: str, channels: int, more: str = "", top: str = "") -> str:
        top = top or f"b{len(self.layers)}"
        self.layers.append(layer(kind, x, top, more, name=f"l{len(self.layers)}"))
        self.channels.pop(top, None)
        self.channels[top] = channels
        return top

    def conv(self, x: str, outputs: int, kind: str = "Convolution", **how: Any) -> str:
        kernel = self.pick([1, 3, 3])
        told = f"num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} {FILLERS}"
        told += "".join(f" {key}: {value}" for key, value in how.items())
        if self.rng.random() < 0.3:
            told += " bias_term: false"
        return self.put(kind, x, outputs, f"convolution_param {{ {told} }}")

    def add(self) -> None:
        x = list(self.channels)[-1]
        if self.rng.random() < 0.2:
            x = self.pick(list(self.channels))
        getattr(self, f"_{self.pick(AFTER)}")(x, self.channels[x])

    def _plain(self, kind: str, x: str, c: int, more: str = "") -> None:
        read = sum(f'bottom: "{x}"' in each for each in self.layers)
        self.put(kind, x, c, more, top=x if not read and self.rng.random() < 0.5 else "")

    def _relu(self, x: str, c: int) -> None:
        self._plain("ReLU", x, c)

    def _bn(self, x: str, c: int) -> None:
        self._plain("BatchNorm", x, c)

    def _scale(self, x: str, c: int) -> None:
        self._plain("Scale", x, c, f"scale_param {{ bias_term: true filler {UNIFORM} "
                    f"bias_filler {UNIFORM} }}")  # fmt: skip

    def _gate(self, x: str, c: int) -> None:
        self._plain("Gate", x, c, f"gate_param {{ filler {UNIFORM} }}")

    def _prelu(self, x: str, c: int) -> None:
        self._plain("PReLU", x, c)

    def _sigmoid(self, x: str, c: int) -> None:
        self._plain(self.pick(["Sigmoid", "TanH", "ELU", "Exp"]), x, c)

    def _power(self, x: str, c: int) -> None:
        self._plain("Power", x, c, "power_param { scale: 0.5 shift: 0.3 }")

    def _dropout(self, x: str, c: int) -> None:
        self._plain("Dropout", x, c)

    def _mvn(self, x: str, c: int) -> None:
        self.put("MVN", x, c)

    def _lrn(self, x: str, c: int) -> None:
        self.put("LRN", x, c, "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }")

    def _across(self, x: str, c: int) -> None:
        self.put("LRN", x, c, "lrn_param { local_size: 3 alpha: 1 }")

    def _pool(self, x: str, c: int) -> None:
        self.put("Pooling", x, c, "pooling_param { kernel_size: 3 pad: 1 }")

    def _average(self, x: str, c: int) -> None:
        self.put("Pooling", x, c, "pooling_param { pool: AVE kernel_size: 3 pad: 1 }")

    def _conv(self, x: str, c: int) -> None:
        self.conv(x, self.pick([4, 5, 6, 8]))

    def _group(self, x: str, c: int) -> None:
        if c % 2 == 0:
            self.conv(x, self.pick([4, 8]), group=2)

    def _depthwise(self, x: str, c: int) -> None:
        self.conv(x, c, group=c)

    def _double(self, x: str, c: int) -> None:
        if c <= 5:
            self.conv(x, 2 * c, group=c)

    def _deconv(self, x: str, c: int) -> None:
        groups = self.pick([1, 1, c, 2 if c % 2 == 0 else 1])
        self.conv(x, c if groups == c else 4, "Deconvolution", group=groups)

    def _residual(self, x: str, c: int) -> None:
        other = self.conv(x, c)
        operation = self.pick(["SUM", "MAX", "PROD"])
        self.put("Eltwise", f"{x} {other}", c, f"eltwise_param {{ operation: {operation} }}")

    def _concat(self, x: str, c: int) -> None:
        other = self.pick(list(self.channels))
        if c + self.channels[other] <= 16:
            self.put("Concat", f"{x} {other}", c + self.channels[other])

    def _twice(self, x: str, c: int) -> None:
        if c <= 8:
            self.put("Concat", f"{x} {x}", 2 * c)

    def _slice(self, x: str, c: int) -> None:
        if c >= 4:
            at = len(self.layers)
            point = f"slice_param {{ slice_point: {c // 2} }}"
            self.layers.append(layer("Slice", x, f"b{at} b{at}s", point, name=f"l{at}"))
            self.channels |= {f"b{at}": c // 2, f"b{at}s": c - c // 2}

    def _twin(self, x: str, c: int) -> None:
        """Two convolutions that share their weights."""
        told = f"convolution_param {{ num_output: 4 kernel_size: 1 {FILLERS} }}"
        told += f' param {{ name: "w{c}" }} param {{ name: "b{c}" }}'
        left, right = self.put("Convolution", x, 4, told), self.put("Convolution", x, 4, told)
        self.put("Concat", f"{left} {right}", 8)

    def _branch(self, x: str, c: int) -> None:
        left, right = self.conv(x, 3), self.conv(x, 4)
        self.put("Concat", f"{left} {right}", 7)

    def _flat(self, x: str, c: int) -> None:
        """Out of maps into vectors, and back."""
        flat = self.put("Flatten", x, c * 36)
        told = f"inner_product_param {{ num_output: 36 {FILLERS} }}"
        first = self.put("InnerProduct", flat, 36, told)
        back = "reshape_param { shape { dim: 0 dim: 1 dim: 6 dim: 6 } }"
        second = self.put("InnerProduct", self.put("ReLU", first, 36), 36, told)
        for name in (flat, first, second, list(self.channels)[-2]):
            self.channels.pop(name, None)
        self.put("Reshape", second, 1, back)
        self.channels = {k: v for k, v in self.channels.items() if v <= 16}

    def _permuted(self, x: str, c: int) -> None:
        """Channels cut into two axes, which are one again afterwards."""
        if c % 2 == 0:
            told = f"reshape_param {{ shape {{ dim: 0 dim: {c // 2} dim: -1 dim: 6 }} }}"
            top = self.put("Reshape", x, c, told)
            self.put(
                "Reshape", top, c, f"reshape_param {{ shape {{ dim: 0 dim: {c} dim: 6 dim: 6 }} }}"
            )
            del self.channels[top]

    def recurrent(self, kind: str) -> str:
        """An LSTM or RNN over what a layer makes of the input, read by another, then by scores."""
        self.layers = [feed(data=(3, 2, 4), cont=(3, 2))]
        x = "data"
        told = f"recurrent_param {{ num_output: 5 {FILLERS} }}"
        if self.rng.random() < 0.5:
            x = self.put(
                "InnerProduct", x, 4, f"inner_product_param {{ num_output: 4 axis: 2 {FILLERS} }}"
            )
        h = self.put(kind, f"{x} cont", 5, told)
        other = self.put(kind, f"{h if self.rng.random() < 0.5 else x} cont", 5, told)
        both = self.put("Concat", f"{h} {other}", 10, "concat_param { axis: 2 }")
        self.put(
            "InnerProduct", both, 3, f"inner_product_param {{ num_output: 3 axis: 2 {FILLERS} }}"
        )
        return "".join(self.layers)


def net(seed: int) -> graphc.Graph:
    """A random net with random weights; seeds that end in 9 are recurrent."""
    maker = Maker(seed)
    if seed % 10 == 9:
        return filled(maker.recurrent(maker.pick(["LSTM", "RNN"])), seed)
    maker.conv("data", 6)
    for _ in range(int(maker.rng.integers(2, 9))):
        maker.add()
    loose = [
        b for b in maker.channels if not any(f'bottom: "{b}"' in each for each in maker.layers)
    ]
    for name in loose:
        flat = maker.put(
            "InnerProduct", name, 3, f"inner_product_param {{ num_output: 3 {FILLERS} }}"
        )
        assert flat
    return filled("".join(maker.layers), seed)


def filled(text: str, seed: int) -> graphc.Graph:
    """The graph with random weights; statistics as after training."""
    made = graph(text)
    rng = np.random.default_rng(seed + 1)
    for value in made.param_values():
        shape = typed(value).shape
        array = rng.normal(size=shape) * (1 / max(1, np.prod(shape[1:])) ** 0.5)
        if value.kind is Kind.STATE and not value.name.endswith("mean"):
            array = np.ones(shape) if "mask" in value.name else rng.uniform(0.5, 2, shape)
        made.weights[value.name] = array.astype(np.float32)
        if value.kind is Kind.CARRY:
            made.weights[value.name] = np.zeros(shape, np.float32)
    return made


def zeroed(net: graphc.Graph, channels: Channels, gone: np.ndarray) -> graphc.Graph:
    """The net with all learned numbers of the filters of some classes zero."""
    other = clone(net)
    values = other.by_name()
    for storage, uses in channels.uses.items():
        out = uses[0].out_axis
        if out is not None and storage.kind is Kind.PARAM:
            array = other.weight(values[storage.name])
            for classes, view in channels.rows(storage, out, array):
                view[gone[classes]] = 0
    return other
