"""Random small nets, put together from the layers' samples: they load, verify, run, differentiate,
optimise and survive being saved."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from hypothesis import given, note, settings
from hypothesis import strategies as st

import graphc
from graphc.check.case import Case, all_cases
from graphc.front.attrs import encode
from graphc.front.export import to_prototxt
from graphc.front.schema import union
from graphc.ir.compare import difference
from graphc.ir.op import Effect, Kind, Trait
from graphc.ir.verify import verify

EXAMPLES = int(os.environ.get("GRAPHC_FUZZ_CASES") or 2000) // 10
POOL = {
    phase: [c for c in all_cases() if c.sample.phase == phase and Effect.RNG not in c.op.effects]
    for phase in ("TRAIN", "TEST")
}


@dataclass
class Net:
    """A prototxt in the making; `blobs` maps blob names to shapes, `feeds` inputs to arrays."""

    message: Any = field(default_factory=lambda: union().new("NetParameter"))
    blobs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    feeds: dict[str, np.ndarray] = field(default_factory=dict)
    dynamic: bool = False

    def feed(self, shape: tuple[int, ...], array: np.ndarray) -> str:
        name = f"in{len(self.feeds)}"
        layer = self.message.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add().dim.extend(shape)
        self.feeds[name], self.blobs[name] = array.astype(np.float32), shape
        return name

    def add(self, case: Case, draw: Any) -> None:
        """One layer, wired to blobs of the right shapes or to inputs of its own."""
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        ins = case.sig.ins.items()
        bottoms = [self._bottom(case, role, type_.shape, rng, draw) for role, type_ in ins]
        layer = self.message.layer.add(name=f"l{len(self.message.layer)}", type=case.op.type)
        layer.bottom.extend(bottoms)
        encode(case.op, case.attrs, layer)
        if draw(st.integers(0, 4)) == 0:
            layer.loss_weight.extend([0.5] * len(case.sig.tops))
        learned = sum(p.kind is Kind.PARAM for p in case.params)
        if learned == len(case.params) and draw(st.integers(0, 4)) == 0:
            for _ in range(learned):
                layer.param.add(lr_mult=draw(st.sampled_from([0, 2])), decay_mult=1)
        in_place = (
            Trait.ELEMENTWISE in case.op.traits_of(case.attrs, case.sig)
            and len(layer.bottom) == len(case.sig.tops) == 1
            and layer.bottom[0] not in self.used
            and draw(st.booleans())
        )
        self.used.update(layer.bottom)
        for index, role in enumerate(case.sig.tops):
            name = layer.bottom[0] if in_place else f"{layer.name}_{index}"
            layer.top.append(name)
            self.blobs[name] = case.sig.outs[role].shape
        if in_place:
            self.used.discard(layer.bottom[0])
        if layer.loss_weight:  # a loss is a use
            self.used.update(layer.top)
        if Trait.DYNAMIC in case.op.traits:
            self.dynamic = True
            for name in layer.top:  # nothing else can count on their shape
                del self.blobs[name]

    def _bottom(
        self, case: Case, role: str, shape: tuple[int, ...], rng: np.random.Generator, draw: Any
    ) -> str:
        make = case.sample.draw.get(role)
        fitting = [name for name, found in self.blobs.items() if found == shape]
        if make is None and fitting and draw(st.booleans()):
            return draw(st.sampled_from(fitting))
        return self.feed(shape, make(rng, shape) if make else rng.standard_normal(shape))


@st.composite
def nets(draw: Any) -> tuple[Net, str]:
    phase = draw(st.sampled_from(["TEST", "TEST", "TRAIN"]))
    net = Net()
    for case in draw(st.lists(st.sampled_from(POOL[phase]), min_size=1, max_size=6)):
        net.add(case, draw)
    return net, phase


@settings(max_examples=EXAMPLES)
@given(nets())
def test_random_net(found: tuple[Net, str]) -> None:
    net, phase = found
    text = text_format.MessageToString(net.message)
    note(text)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "net.prototxt"
        path.write_text(text)
        graph = graphc.load(path, phase=phase)
        verify(graph, 2)
        exe = graphc.compile(graph, train=True, passes=(), keep="all")
        tops = exe.forward(net.feeds)
        for name, shape in net.blobs.items():
            if not net.dynamic:
                assert tops[name].shape == shape, name
        grads = exe.backward({name: np.ones_like(tops[name]) for name in exe.outputs})
        for layer, arrays in grads.params.items():
            for grad, array in zip(arrays, exe.params[layer], strict=True):
                assert grad.shape == array.shape, layer
        check_passes(graph, net)
        check_export(graph, phase, Path(scratch) / "again.prototxt")
        check_artefact(graph, net, Path(scratch) / "net.gcz")


def check_passes(graph: graphc.Graph, net: Net) -> None:
    """The default passes change no output beyond rounding."""
    plain = graphc.compile(graph, passes=()).run(net.feeds)
    short = graphc.compile(graph).run(net.feeds)
    assert list(plain) == list(short)
    for name, array in plain.items():
        scale = np.abs(array[np.isfinite(array)]).max(initial=1)
        assert np.allclose(short[name], array, rtol=0, atol=1e-5 * scale, equal_nan=True), name


def check_export(graph: graphc.Graph, phase: str, path: Path) -> None:
    """The prototxt made from the graph gives an equal graph."""
    path.write_text(to_prototxt(graph))
    assert difference(graph, graphc.load(path, phase=phase)) == ""


def check_artefact(graph: graphc.Graph, net: Net, path: Path) -> None:
    """What is saved and opened gives the same numbers."""
    exe = graphc.compile(graph)
    exe.save(path)
    before, after = exe.run(net.feeds), graphc.open(path).run(net.feeds)
    assert list(before) == list(after)
    for name, array in before.items():
        assert np.array_equal(array, after[name], equal_nan=True), name
