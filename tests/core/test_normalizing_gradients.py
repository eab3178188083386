"""Gradients of BatchNorm, and its parts in blocks of channels, beside the float64 references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.blocked import blocked, plain, room, run
from core.gradient_rows import Backward, check
from core.rows import Layer, close
from core.test_normalizing_kernels import SHAPES, _bn

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.batch_norm import BatchNorm, BatchNormAttrs

IMAGES = [
    (3, 37, 9, 11),
    (2, 16, 40, 41),
    (8, 64, 7, 7),
    (2, 70, 1, 1),
    (40, 8, 3, 3),
    (1, 5, 2, 2),
]
LANES = (8, 16)


@pytest.mark.parametrize("shape", [*SHAPES, *IMAGES])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_batch_norm(shape: tuple[int, ...], phase: str) -> None:
    layer = Layer.of(BatchNorm, None, shape, phase=phase)
    assert check(Backward(layer, _bn(layer)), products=100) == {"dx"}


def test_a_gradient_far_from_zero_keeps_its_digits() -> None:
    layer = Layer.of(BatchNorm, BatchNormAttrs(eps=0.0), (8, 16, 20, 20), phase="TRAIN")
    backward = Backward(layer, _bn(layer))
    backward.values["dy"] += np.float32(1000)
    check(backward)


def test_a_channel_that_is_not_finite_spoils_no_other() -> None:
    layer = Layer.of(BatchNorm, None, (4, 21, 5, 5), phase="TRAIN")
    backward = Backward(layer, _bn(layer))
    backward.values["dy"][1, 3, 0, 0], backward.values["dy"][2, 19, 4, 4] = np.nan, np.inf
    backward.values["batch_variance"][7] = 0
    check(backward)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("gaps", [0, 2])
@pytest.mark.parametrize("shape", [*IMAGES, (0, 5, 3, 3), (2, 5, 0, 3)])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_statistics_and_normalize_in_blocks(
    shape: tuple[int, ...], mean: float, gaps: int, lanes: int
) -> None:
    layer = Layer.of(BatchNorm, BatchNormAttrs(eps=1e-3), shape, phase="TRAIN")
    values = _bn(layer, mean=mean)
    x = values["x"].astype(np.float32)
    _, wanted = layer.run({**values, "x": x})
    c, source = shape[1], blocked(x, lanes, gaps)
    for threads in (1, 3):
        targets = [np.full(c, np.nan, np.float32) for _ in range(2)]
        found = run("batch_norm_statistics", [source], targets, threads, channels=c, eps=1e-3)
        close(found[0], wanted["batch_mean"])
        close(found[1], wanted["batch_variance"])
        (y,) = run(
            "batch_norm_normalize",
            [source, *found],
            [room(shape, lanes, 2 - gaps)],
            threads,
            channels=c,
            eps=1e-3,
        )
        close(plain(y, c), wanted["y"])


X, ROW, ONE = ("f32", (2, 16, 3, 3), None), ("f32", (16,), None), ("f32", (1,), None)
BLOCKS = ("f32", (2, 2, 3, 3, 8), None)


@pytest.mark.parametrize(
    ("symbol", "reads", "writes", "told"),
    [
        ("batch_norm_gradient", [X, X], [X], {}),
        ("batch_norm_gradient", [X, X, ROW], [X, X], {}),
        ("batch_norm_gradient", [X, X, ONE], [X], {}),
        ("batch_norm_gradient", [X, ("f32", (2, 16, 3, 4), None), ROW], [X], {}),
        ("batch_norm_gradient", [X, X, ROW], [X], {"channels": 16}),
        ("batch_norm_gradient", [BLOCKS, X, ROW], [BLOCKS], {"channels": 16}),
        ("batch_norm_global_gradient", [X, ROW], [X], {}),
        ("batch_norm_global_gradient", [X, ROW, ROW], [X], {}),
        ("batch_norm_global_gradient", [X, ONE, ONE], [X], {}),
        ("batch_norm_global_gradient", [X, ROW, ONE], [X], {"channels": 16}),
        ("batch_norm_statistics", [X], [ROW], {}),
        ("batch_norm_statistics", [X], [ROW, ONE], {}),
        ("batch_norm_statistics", [BLOCKS], [ROW, ROW], {"channels": 17}),
        ("batch_norm_normalize", [BLOCKS, ROW, ROW], [X], {"channels": 16}),
    ],
)
def test_what_does_not_fit_is_refused(symbol: str, reads: Any, writes: Any, told: Any) -> None:
    with pytest.raises(GraphError) as caught:
        _core.make_kernel(symbol, reads, writes, {"eps": 0.1, **told})
    assert caught.value.code == "GC-A001"
