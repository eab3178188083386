"""Gradients around Filter: its own kernel, and layers that meet as many rows as it chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.gradient_rows import Backward, check
from core.rows import Layer, close

import graphc
from graphc import _core
from graphc.errors import GraphError
from graphc.ops.filter import Filter

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 6 dim: 3 } } }
layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 6 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "f" type: "Filter" bottom: "a" bottom: "s" top: "f"
        propagate_down: true propagate_down: false }
layer { name: "b" type: "InnerProduct" bottom: "f" top: "b"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "p" type: "Power" bottom: "b" top: "p" power_param { scale: 2 } }
layer { name: "q" type: "TanH" bottom: "b" top: "q" }
"""

CHOICES = {
    "some": [1, 0, 1, 0, 0, 1],
    "all": [1] * 6,
    "none": [0] * 6,
    "the last": [0, 0, 0, 0, 0, 1],
    "odd": [np.nan, -2, 0, -0.0, np.inf, 1e-42],
}
each_choice = pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES)


@each_choice
@pytest.mark.parametrize("rest", [(), (3,), (4, 5, 2)], ids=str)
def test_beside_the_vjp(chosen: list[float], rest: tuple[int, ...]) -> None:
    layer = Layer.of(Filter, None, (6, *rest), (6, 1, 1))
    x = np.random.default_rng(0).standard_normal((6, *rest))
    backward = Backward(layer, {"x0": x, "selector": np.reshape(chosen, (6, 1, 1))})
    assert check(backward) == {"dx0"}


def test_many_rows() -> None:
    rng = np.random.default_rng(0)
    layer = Layer.of(Filter, None, (5000, 41), (5000, 1), (5000,), tops=2)
    values = {role: rng.standard_normal(t.shape) for role, t in layer.sig.ins.items()}
    backward = Backward(layer, values | {"selector": rng.integers(0, 2, 5000)})
    assert check(backward) == {"dx0", "dx1"}


@each_choice
def test_of_a_planned_extent_only_the_first_rows_live(chosen: list[float]) -> None:
    layer = Layer.of(Filter, None, (6, 3), (6,))
    x = np.random.default_rng(0).standard_normal((6, 3))
    backward = Backward(layer, {"x0": x, "selector": chosen})
    live = np.count_nonzero(chosen)
    planned = np.full((6, 3), np.nan, np.float32)
    planned[:live] = backward.values["dy0"]
    backward.values["dy0"] = planned
    check(backward)


@each_choice
@pytest.mark.parametrize("threads", [1, 2])
def test_training_through_one(chosen: list[float], threads: int, tmp_path: Path) -> None:
    """Layers before it know nothing of it; those behind it see no row that it has not chosen."""
    (tmp_path / "net.prototxt").write_text(NET)
    net = graphc.load(tmp_path / "net.prototxt")
    rng = np.random.default_rng(0)
    feed = {
        "x": rng.standard_normal((6, 3)).astype(np.float32),
        "s": np.array(chosen, np.float32),
    }
    found: list[dict[str, Any]] = []
    for target in ("cpu", "reference"):
        exe = graphc.compile(net, target=target, train=True, keep="all", threads=threads)
        if target == "cpu":
            exe._executor.check = {"poison": True}
            calls = exe._executor.program.calls
            host = {c.name for c in calls if c.variants[0].symbol == "host"}
            assert host == {"f", "b", "p", "q", "sum of d(b)"}
            assert [c.part for c in calls if c.name == "f" and "filter_gradient" in str(c)]
        for run in range(2):
            tops = exe.forward(feed)
            seed = np.random.default_rng(run)
            told = exe.backward({k: seed.standard_normal(tops[k].shape) for k in ("p", "q")})
        made = dict(told.blobs)
        for layer, arrays in told.params.items():
            made |= {f"{layer} {i}": array for i, array in enumerate(arrays)}
        found.append(made)
    ours, wanted = found
    assert ours.keys() == wanted.keys() and ours["f"].shape == (np.count_nonzero(chosen), 4)
    for name, array in wanted.items():
        close(ours[name], array, name)


X, ROWS = ("f32", (5, 3), None), ("f32", (5, 1), None)


@pytest.mark.parametrize(
    ("reads", "write", "word"),
    [
        ([X], X, "number of operands"),
        ([("f32", (5, 4), None), ROWS], X, "dy"),
        ([("f32", (5, 3, 1), None), ROWS], X, "dy"),
        ([X, X], X, "selector"),
        ([("f32", (5, 3), (4, 1)), ROWS], X, "dy"),
        ([X, ROWS], ("u8", (5, 3), None), "dx"),
        ([("f32", (), None), ROWS], ("f32", (), None), "dy"),
    ],
)
def test_what_does_not_fit_is_refused(reads: Any, write: Any, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel("filter_gradient", reads, [write], {})
    assert caught.value.code == "GC-A001"
