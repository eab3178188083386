"""Small random nets full of what passes look for, and of what they must not touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from texts import feed, graph, layer

import graphc
from graphc.driver import shape
from graphc.ir.op import Kind

XAVIER = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'
UNIFORM = '{ type: "uniform" min: 0.5 max: 1.5 }'
TWIN = "~"
"""Ends the name of a layer that does the same as another, with the same weights."""
SHARED = ("", "", "", ' param { name: "w" } param { name: "b" }')
LINEAR = ("Convolution", "Deconvolution", "InnerProduct")
AFFINE = ("BatchNorm", "Scale", "Bias", "Power")
PLAIN = ("ReLU", "AbsVal", "TanH", "Dropout", "Sigmoid")
VIEWS = ("Reshape", "Split", "Pooling", "Concat", "Slice", "Eltwise", "Constant", "Silence")


@dataclass
class RandomNet:
    """A net in the making. `shapes`: blobs that may be read; all have a batch of 2."""

    draw: Any
    layers: list[str] = field(default_factory=lambda: [feed(data=(2, 4, 3, 3), more=(2, 4, 3, 3))])
    shapes: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: dict.fromkeys(("data", "more"), (2, 4, 3, 3))
    )

    def pick(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(list(choices)))

    def add(self) -> None:
        kinds = (*LINEAR * 3, *AFFINE * 3, *PLAIN, *VIEWS)
        kind = self.pick(kinds)
        x = self.pick([*self.shapes, *[list(self.shapes)[-1]] * 2 * len(self.shapes)])
        make = getattr(self, f"_{kind.lower()}", None)
        more = self.pick([*[""] * 22, "loss_weight: 0.5", "propagate_down: false"])
        if make is not None:
            make(x, more)
        else:
            self._put(kind, x, self._top(x), self.shapes[x], self._options(kind, x) + more)

    def _fresh(self) -> str:
        return f"b{len(self.layers)}"

    def _top(self, x: str) -> str:
        return str(self.pick([x, self._fresh()]))

    def _put(
        self, kind: str, x: str, y: str, shape: tuple[int, ...], more: str = "", name: str = ""
    ) -> None:
        if y == x:  # no file can hold an output that is overwritten
            more = more.replace("loss_weight: 0.5", "")
        name = name or self.pick(["l", *[f"l{len(self.layers)}"] * 3])  # some share a name
        self.layers.append(layer(kind, x, y, more, name))
        self.shapes.pop(y, None)  # the latest stands last
        self.shapes[y] = shape
        is_new = y not in x.split() and " " not in y and name != "l"
        if is_new and self.pick([False] * 7 + [True]):
            self.layers.append(layer(kind, x, f"{y}~", more, f"{name}{TWIN}"))
            self.shapes[f"{y}~"] = shape

    def _options(self, kind: str, x: str) -> str:
        shape = self.shapes[x]
        axis = self.pick([1, 1, 1, len(shape) - 1, 0 if len(shape) == 2 else 2])
        axes = self.pick([1, 1, 1, 0, -1])
        if kind == "Scale":
            bias = f"bias_term: true bias_filler {UNIFORM}" * self.pick([0, 1])
            return f"scale_param {{ axis: {axis} num_axes: {axes} filler {UNIFORM} {bias} }}"
        if kind == "Bias":
            return f"bias_param {{ axis: {axis} num_axes: {axes} filler {UNIFORM} }}"
        if kind == "Power":
            power, factor = self.pick([1, 1, 1, 1, 2]), self.pick([1, -2, 0.5, 3, 0])
            shift = self.pick([0, 1, -0.5])
            return f"power_param {{ power: {power} scale: {factor} shift: {shift} }}"
        if kind == "BatchNorm":
            return f"batch_norm_param {{ use_global_stats: {self.pick(['true'] * 5 + ['false'])} }}"
        return ""

    def _spatial(self, kind: str, x: str, more: str) -> None:
        n, c, *sides = self.shapes[x] if len(self.shapes[x]) == 4 else (0, 0)
        if not sides:
            return self._innerproduct(x, more)
        kernel, pad, group = self.pick([1, 1, 3]), self.pick([0, 0, 1]), self.pick([1, 1, 2, c])
        if c % group:
            group = 1
        grow = kernel - 1 - 2 * pad if kind == "Deconvolution" else 2 * pad - kernel + 1
        out = [side + grow for side in sides]
        if min(out) < 1 or max(out) > 7:
            return None
        outputs = self.pick([2, 4]) if group in (1, 2) else c
        bias = "" if self.pick([True, False]) else "bias_term: false"
        names = self.pick(SHARED) if not bias else ""
        told = f"num_output: {outputs} kernel_size: {kernel} pad: {pad} group: {group}"
        more += f" convolution_param {{ {told} {bias} {XAVIER} }} "
        more += names.replace('"w"', f'"{kind}{outputs}{c}{kernel}{group}"').replace(
            '"b"', f'"{kind}{outputs}"'
        )
        return self._put(kind, x, self._fresh(), (n, outputs, *out), more)

    def _convolution(self, x: str, more: str) -> None:
        self._spatial("Convolution", x, more)

    def _deconvolution(self, x: str, more: str) -> None:
        self._spatial("Deconvolution", x, more)

    def _innerproduct(self, x: str, more: str) -> None:
        shape = self.shapes[x]
        axis = self.pick([1, 1, len(shape) - 1])
        bias = "" if self.pick([True, False]) else "bias_term: false"
        told = f"num_output: 3 axis: {axis} transpose: {self.pick(['true', 'false'])} {bias}"
        more += f" inner_product_param {{ {told} {XAVIER} }}"
        self._put("InnerProduct", x, self._fresh(), (*shape[:axis], 3), more)

    def _reshape(self, x: str, more: str) -> None:
        dims = "dim: 0 " * (len(self.shapes[x]) - 1) + self.pick(["dim: 0", "dim: -1"])
        self._put("Reshape", x, self._top(x), self.shapes[x],
                  f"reshape_param {{ shape {{ {dims} }} }} {more}")  # fmt: skip

    def _split(self, x: str, more: str) -> None:
        y = self._fresh()
        self._put("Split", x, f"{y} {y}s", self.shapes[x])
        del self.shapes[f"{y} {y}s"]
        self.shapes |= dict.fromkeys((y, f"{y}s"), self.shapes[x])

    def _pooling(self, x: str, more: str) -> None:
        if len(self.shapes[x]) == 4:
            options = self.pick(
                ["kernel_size: 1", "kernel_size: 3 pad: 1", "kernel_size: 1 pool: AVE"]
            )
            self._put("Pooling", x, self._fresh(), self.shapes[x],
                      f"pooling_param {{ {options} }} {more}")  # fmt: skip

    def _eltwise(self, x: str, more: str) -> None:
        other = self.pick([n for n, s in self.shapes.items() if s == self.shapes[x]])
        options = self.pick(["", "coeff: 1 coeff: 0", "operation: MAX", "coeff: 2 coeff: 0.5"])
        self._put("Eltwise", f"{x} {other}", self._fresh(), self.shapes[x],
                  f"eltwise_param {{ {options} }}")  # fmt: skip

    def _concat(self, x: str, more: str) -> None:
        shape = self.shapes[x]
        other = self.pick(["", *[n for n, s in self.shapes.items() if s == shape]])
        channels = shape[1] * (2 if other else 1)
        if channels <= 8:
            self._put("Concat", f"{x} {other}", self._fresh(), (shape[0], channels, *shape[2:]))

    def _slice(self, x: str, more: str) -> None:
        shape, y = self.shapes[x], self._fresh()
        if shape[1] == 4:
            self._put("Slice", x, f"{y} {y}s", shape)
            del self.shapes[f"{y} {y}s"]
            self.shapes |= dict.fromkeys((y, f"{y}s"), (shape[0], 2, *shape[2:]))
        else:
            self._put("Slice", x, y, shape)

    def _constant(self, x: str, more: str) -> None:
        shape = self.shapes[x]
        dims = " ".join(f"dim: {d}" for d in shape)
        if self.pick([True, False]):
            told = f"parameter_param {{ shape {{ {dims} }} }}"
            self._put("Parameter", "", self._fresh(), shape, told)
        else:
            told = f"dummy_data_param {{ shape {{ {dims} }} data_filler {{ value: 0.5 }} }}"
            self._put("DummyData", "", self._fresh(), shape, told)

    def _silence(self, x: str, more: str) -> None:
        self.layers.append(layer("Silence", x, name=self._fresh()))


@st.composite
def nets(draw: Any) -> tuple[str, tuple[str, ...]]:
    """The text of a net, and names of its blobs."""
    net = RandomNet(draw)
    for _ in range(draw(st.integers(2, 12))):
        net.add()
    return "".join(net.layers), tuple(net.shapes)


def filled(text: str, seed: int = 3) -> graphc.Graph:
    """The graph with random weights; statistics as after training, some not yet counted."""
    made = shape(graph(text))
    rng = np.random.default_rng(seed)
    for value in made.param_values():
        array = made.weight(value)
        if value.kind is Kind.STATE:
            array[...] = rng.uniform(0.5, 2, array.shape)
            if value.name.endswith("factor"):
                array[...] = rng.choice([0.0, 1.0, 2.5], p=[0.1, 0.6, 0.3])
        elif not array.any():
            array[...] = rng.normal(size=array.shape)
    for name, arrays in made.params.items():
        for mine, theirs in zip(arrays, made.params.get(f"{name}{TWIN}", ()), strict=False):
            theirs[...] = mine
    return made


def feeds(seed: int = 5) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(2, 2, 4, 3, 3))
    return {"data": x[0], "more": x[1]}
