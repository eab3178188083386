"""Plain and blocked regions: chosen for least time, and the same numbers whatever is chosen."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import _core
from graphc.costs import Costs
from graphc.ir.graph import Value
from graphc.ir.types import Type
from graphc.lower import cpu
from graphc.lower._choose import BANDWIDTH, BLOCKED_SIDES, PLAIN_SIDES, choose_formats
from graphc.lower._draft import ADDEND, BACKWARD, Draft
from graphc.lower._formats import Formats
from graphc.lower._reorder import reorder
from graphc.ops.kernel import BLOCKED, PLAIN

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 20 dim: 12 dim: 12 } } }
layer { name: "p1" type: "Pooling" bottom: "data" top: "p1"
        pooling_param { kernel_size: 3 stride: 1 pad: 1 } }
layer { name: "c1" type: "Convolution" bottom: "p1" top: "c1"
        convolution_param { num_output: 32 kernel_size: 3 pad: 1
                            weight_filler { type: "xavier" } } }
layer { name: "p2" type: "Pooling" bottom: "c1" top: "p2"
        pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "r2" type: "ReLU" bottom: "p2" top: "p2" }
layer { name: "p3" type: "Pooling" bottom: "c1" top: "p3"
        pooling_param { kernel_size: 3 stride: 2 pool: AVE } }
layer { name: "lrn" type: "LRN" bottom: "p3" top: "l3" }
layer { name: "sum" type: "Eltwise" bottom: "p2" bottom: "l3" top: "sum" }
layer { name: "cat" type: "Concat" bottom: "sum" bottom: "l3" bottom: "p2" top: "cat" }
layer { name: "p4" type: "Pooling" bottom: "cat" top: "p4"
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "cut" type: "Slice" bottom: "p4" top: "s0" top: "s1"
        slice_param { slice_point: 32 } }
layer { name: "l0" type: "LRN" bottom: "s0" top: "l0" }
layer { name: "odd" type: "Slice" bottom: "s1" top: "o0" top: "o1"
        slice_param { slice_point: 5 } }
layer { name: "pm" type: "Pooling" bottom: "o1" top: "pm"
        pooling_param { kernel_size: 2 stride: 1 } }
layer { name: "g" type: "Pooling" bottom: "s1" top: "g"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "g" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


class Told(Costs):
    """Costs that make a test's point: blocked kernels for nothing, or dear, or at random."""

    mood = "cheap"

    def microseconds(self, symbol: str, key: str, macs: int, nbytes: int) -> tuple[float, str]:
        is_blocked = "block=" in key
        if self.mood == "random":
            return random.Random(f"{key} {nbytes}").uniform(0, 100), "told"
        return (1.0 if is_blocked == (self.mood == "cheap") else 1000.0), "told"


@pytest.fixture
def mood(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_core, "channel_block", lambda: 16)
    monkeypatch.setattr(cpu, "known_costs", lambda threads: Told(threads))
    return lambda name: monkeypatch.setattr(Told, "mood", name)


def symbols(exe: graphc.Executable, entry: str = "forward") -> list[str]:
    program = exe._executor.prepared.program
    return [program.calls[c].variants[0].symbol for c in program.entries[entry]]


@pytest.mark.parametrize("keep", [(), ("cat",), ("p2", "s1"), ("o1",), "all"])
@pytest.mark.parametrize("name", ["cheap", "dear", "random"])
def test_numbers_do_not_depend_on_formats(mood: Any, tmp_path: Path, name: str, keep: Any) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = graphc.load(tmp_path / "net.prototxt")
    mood(name)
    reference = graphc.compile(net, target="reference", keep=keep)
    exe = graphc.compile(net, keep=keep, threads=2)
    exe._executor.check = {"poison": True, "audit": True}
    rng = np.random.default_rng(0)
    for batch in (2, 1, 3):
        x = {"data": rng.standard_normal((batch, 20, 12, 12)).astype(np.float32)}
        ours, theirs = exe.run(x), reference.run(x)
        assert ours.keys() == theirs.keys()
        for blob, array in theirs.items():
            np.testing.assert_allclose(ours[blob], array, rtol=1e-5, atol=1e-5, err_msg=blob)


def test_regions(mood: Any, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = graphc.load(tmp_path / "net.prototxt")
    mood("cheap")
    found = symbols(graphc.compile(net))
    assert found.count("max_pool_blocked") == 4 and found.count("lrn_across_blocked") == 2
    # s1 for its odd slices, outputs l0 and pm; p1, where only plain convolutions can be had
    assert found.count("unblock") == 3 + found.count("conv")
    assert "max_pool" not in found and "lrn_across" not in found
    mood("dear")
    found = symbols(graphc.compile(net))
    assert not {"block", "unblock", "max_pool_blocked"} & set(found)


TRAINED = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 13 dim: 13 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1"
        param { name: "w" } param { name: "b" }
        convolution_param { num_output: 20 kernel_size: 3 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "data" top: "c2"
        param { name: "w" } param { name: "b" }
        convolution_param { num_output: 20 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "crop" type: "Pooling" bottom: "c2" top: "p2"
        pooling_param { kernel_size: 2 stride: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "c1" bottom: "p2" top: "sum" }
layer { name: "a" type: "Convolution" bottom: "sum" top: "a"
        convolution_param { num_output: 32 kernel_size: 1 } }
layer { name: "b" type: "Convolution" bottom: "sum" top: "b"
        convolution_param { num_output: 16 kernel_size: 3 pad: 1 group: 4 } }
layer { name: "c" type: "Deconvolution" bottom: "sum" top: "c"
        convolution_param { num_output: 16 kernel_size: 3 pad: 1 } }
layer { name: "cat" type: "Concat" bottom: "a" bottom: "b" bottom: "c" top: "cat" }
layer { name: "relu" type: "ReLU" bottom: "cat" top: "cat" }
layer { name: "d" type: "Convolution" bottom: "cat" top: "d"
        convolution_param { num_output: 48 kernel_size: 3 } }
layer { name: "ip" type: "InnerProduct" bottom: "d" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""


@pytest.mark.parametrize("keep", [(), ("sum",), "all"])
@pytest.mark.parametrize("name", ["cheap", "dear", "random"])
def test_gradients_do_not_depend_on_formats(
    mood: Any, tmp_path: Path, name: str, keep: Any
) -> None:
    (tmp_path / "net.prototxt").write_text(TRAINED)
    net = graphc.load(tmp_path / "net.prototxt", phase="TRAIN")
    rng = np.random.default_rng(0)
    for arrays in net.params.values():
        for array in arrays:
            array[...] = rng.standard_normal(array.shape) * 0.2
    mood(name)
    found = []
    for target in ("cpu", "reference"):
        exe = graphc.compile(net, target=target, train=True, keep=keep, threads=2)
        if target == "cpu":
            exe._executor.check = {"poison": True, "audit": True}
            kernels = symbols(exe, "backward")
        draw = np.random.default_rng(1)
        exe.forward({"data": draw.standard_normal((2, 3, 13, 13)).astype(np.float32)})
        found.append(exe.backward({"ip": draw.standard_normal((2, 5)).astype(np.float32)}))
    ours, theirs = found
    assert ours.blobs.keys() == theirs.blobs.keys()
    for blob, array in theirs.blobs.items():
        np.testing.assert_allclose(ours.blobs[blob], array, rtol=1e-4, atol=1e-4, err_msg=blob)
    for layer, arrays in theirs.params.items():
        for mine, array in zip(ours.params[layer], arrays, strict=True):
            np.testing.assert_allclose(mine, array, rtol=1e-4, atol=1e-4, err_msg=layer)
    if "dnnl_conv_dx" in _core.kernel_symbols() and name != "random":
        assert ("dnnl_conv_dx" in kernels) == ("dnnl_conv_dweight" in kernels) == (name == "cheap")
        assert ("conv_dweight" in kernels) and ("deconv" in kernels)


@pytest.mark.parametrize("formats", list(itertools.product((PLAIN, BLOCKED), repeat=4)))
def test_what_is_added_to_is_reordered_as_it_is_by_then(formats: tuple[str, ...]) -> None:
    total = Value("dx", Type((1, 16, 4, 4)))
    drafts = [Draft("first", 0, "dx", [], [("dx", total)], entry=BACKWARD)]
    for name in ("second", "third"):
        reads = [(ADDEND, total)]
        drafts.append(Draft(name, 0, "dx", reads, [("dx", total)], adds=True, entry=BACKWARD))
    drafts.append(Draft("reader", 0, "dx", [("x", total)], []))
    sides = [(each, each) for each in formats]
    known: dict[Value, list[str]] = {}  # what each value, in its format, is the sum of
    for draft in reorder(drafts, sides, Formats(16), ()):
        if draft.mover:
            known[draft.writes[0][1]] = list(known[draft.reads[0][1]])
        elif draft.writes:
            ((_, made),) = draft.writes
            assert not draft.adds or draft.reads == [(ADDEND, made)]
            known[made] = [*(known[made] if draft.adds else []), draft.name]
        else:
            assert known[draft.reads[0][1]] == ["first", "second", "third"]


def chain(rng: random.Random, length: int) -> tuple[list[Draft], list[Mapping[Any, float]]]:
    """Drafts that read one or two earlier values, and what they cost in either format."""
    values = [Value("v0", Type((1, 16, rng.randint(2, 40), 8)))]
    drafts, options = [], []
    for at in range(length):
        reads = rng.sample(values[-3:], rng.randint(1, min(2, len(values))))
        made = Value(f"v{at + 1}", Type((1, 16, rng.randint(2, 40), 8)))
        drafts.append(
            Draft(
                f"d{at}",
                0,
                "forward",
                [(f"x{i}", v) for i, v in enumerate(reads)],
                [("y", made)],
                tops=frozenset({"y"}),
            )
        )
        costs = {PLAIN_SIDES: rng.uniform(0, 20), BLOCKED_SIDES: rng.uniform(0, 20)}
        if rng.random() < 0.3:
            costs[PLAIN, BLOCKED] = rng.uniform(0, 20)
        if rng.random() < 0.2:
            costs = {PLAIN_SIDES: 5.0}
        options.append(costs)
        values.append(made)
    return drafts, options


def total(drafts: list[Draft], options: list[Any], sides: Any, formats: Formats) -> float:
    """Calls, and a copy, read and written, of each value that is wanted in both formats."""
    wanted: dict[Value, set[str]] = {drafts[0].reads[0][1]: {PLAIN}}
    for draft, pair in zip(drafts, sides, strict=True):
        for side, operands in zip(pair, (draft.reads, draft.writes), strict=True):
            for _, value in operands:
                wanted.setdefault(value, set()).add(side)
    reorders = [1 + 2 * v.type.nbytes / BANDWIDTH for v, found in wanted.items() if len(found) == 2]
    return sum(reorders) + sum(o[s] for o, s in zip(options, sides, strict=True))


def test_the_choice_is_nearly_the_best() -> None:
    best = 0
    for seed in range(100):
        rng = random.Random(seed)
        drafts, options = chain(rng, 7)
        formats = Formats(16)
        fixed = {drafts[0].reads[0][1]}
        found = choose_formats(drafts, options, formats, fixed)
        ours = total(drafts, options, found, formats)
        every = [total(drafts, options, c, formats) for c in itertools.product(*options)]
        assert ours <= 1.25 * min(every)
        best += ours <= min(every) + 1e-9
        plain = [PLAIN_SIDES] * len(drafts)
        if all(PLAIN_SIDES in o for o in options):
            assert ours <= total(drafts, options, plain, formats) + 1e-9
    assert best >= 80
