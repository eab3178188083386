"""BatchNorm, MVN and Softmax on the C++ core, beside their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import Layer, cased, channels_last, close, compare, gapped

from graphc.check.case import Case, cases, draw
from graphc.ops.batch_norm import BatchNorm, BatchNormAttrs
from graphc.ops.mvn import MVN, MVNAttrs
from graphc.ops.softmax import Softmax, SoftmaxAttrs

SAMPLES = [case for case in cases() if case.op in (BatchNorm, MVN, Softmax)]
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: case.id)
def test_samples(case: Case) -> None:
    for over in (False, True):
        compare(cased(case), draw(case), over=over)
    compare(cased(case).without("deviation"), draw(case))


SHAPES = [(3, 5, 37, 11), (2, 300), (4, 7, 600), (700,), (1, 3, 1, 1), (2, 0, 3), (2, 3, 0)]


def _bn(layer: Layer, seed: int = 0, mean: float = 0.0, spread: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shapes = {role: t.shape for role, t in layer.sig.params.items()}
    return {
        "x": mean + spread * rng.standard_normal(layer.sig["x"].shape),
        "mean": 2 * (mean + 0.3 * rng.standard_normal(shapes["mean"])),
        "variance": 2 * spread**2 * rng.uniform(0.5, 2, shapes["variance"]),
        "factor": np.array([2.0]),
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_batch_norm(shape: tuple[int, ...], phase: str) -> None:
    layer = Layer.of(BatchNorm, None, shape, phase=phase)
    values = _bn(layer)
    one, wanted = layer.run(values)
    for role, array in one.items():
        close(array, wanted[role], role)
    three = layer.run(values, threads=3, over=True)[0]
    assert all(np.array_equal(one[r], three[r], equal_nan=True) for r in one)


@pytest.mark.parametrize("place", [gapped, channels_last])
def test_global_batch_norm_takes_any_strides(place: Any) -> None:
    for shape in ((3, 5, 37, 11), (3, 130, 5, 4)):
        layer = Layer.of(BatchNorm, None, shape)
        values = _bn(layer)
        dense, strided = layer.run(values)[0]["y"], layer.run(values, place=place)[0]["y"]
        assert np.array_equal(dense, strided)


def test_a_mean_far_beyond_the_spread_keeps_the_digits() -> None:
    for phase in ("TRAIN", "TEST"):
        layer = Layer.of(BatchNorm, BatchNormAttrs(eps=0.0), (8, 4, 100), phase=phase)
        compare(layer, _bn(layer, mean=1000.0, spread=0.01))
    layer = Layer.of(MVN, None, (8, 4, 100))
    x = 1000 + 0.01 * np.random.default_rng(0).standard_normal((8, 4, 100))
    compare(layer, {"x": x})
    compare(Layer.of(MVN, None, (8, 4, 100)), {"x": x * 1e-6})


@pytest.mark.parametrize("count", [0, 1, 2])
def test_running_statistics_of_few_elements(count: int) -> None:
    layer = Layer.of(BatchNorm, None, (count, 3), phase="TRAIN")
    compare(layer, _bn(layer))


def test_a_factor_of_zero_means_no_statistics() -> None:
    layer = Layer.of(BatchNorm, None, (2, 3, 4))
    values = {**_bn(layer), "factor": np.array([0.0])}
    compare(layer, values)
    compare(layer, {**values, "mean": np.array([1.0, NAN, INF])})


def test_batch_norm_of_special_values() -> None:
    layer = Layer.of(BatchNorm, BatchNormAttrs(eps=0.0), (1, 6, 7))
    x = np.broadcast_to([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.0], (1, 6, 7))
    mean = np.array([0.0, INF, NAN, 1.0, -0.0, 1.0])
    variance = np.array([1.0, 1.0, 1.0, 0.0, -1.0, INF])
    compare(layer, {"x": x, "mean": mean, "variance": variance, "factor": np.ones(1)})


@pytest.mark.parametrize("position", [0, 3])
@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e30])
def test_special_values_among_those_of_a_group(position: int, value: float) -> None:
    x = np.random.default_rng(5).standard_normal((4, 3, 5))
    x[0 if position == 0 else 2, 1, position] = value
    compare(Layer.of(MVN, None, x.shape), {"x": x})
    layer = Layer.of(BatchNorm, None, x.shape, phase="TRAIN")
    compare(layer, {**_bn(layer), "x": x})


@pytest.mark.parametrize("shape", [(3, 5, 37, 11), (2, 300), (700,), (), (2, 0, 3), (2, 3, 0)])
@pytest.mark.parametrize(
    "attrs",
    [MVNAttrs(), MVNAttrs(across_channels=True), MVNAttrs(normalize_variance=False)],
)
def test_mvn(shape: tuple[int, ...], attrs: MVNAttrs) -> None:
    values = {"x": 3 + np.random.default_rng(6).standard_normal(shape)}
    layer = Layer.of(MVN, attrs, shape)
    compare(layer, values)
    one, three = (layer.run(values, threads=t, over=t > 1)[0]["y"] for t in (1, 3))
    assert np.array_equal(one, three)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    "shape", [(3, 40, 1), (5, 21, 300), (30, 1700, 1), (2, 1, 7), (64, 3, 65), (0, 3, 4)]
)
def test_softmax(shape: tuple[int, ...], axis: int) -> None:
    layer = Layer.of(Softmax, SoftmaxAttrs(axis=axis), shape)
    values = {"x": 4 * np.random.default_rng(7).standard_normal(shape)}
    compare(layer, values)
    one, three = (layer.run(values, threads=t, over=t > 1)[0]["y"] for t in (1, 3))
    assert np.array_equal(one, three)


def test_softmax_of_special_values() -> None:
    rows = np.array(
        [
            [1.0, 2.0, NAN, 3.0],
            [1.0, INF, 0.0, 3.0],
            [-INF, 2.0, 1.0, -INF],
            [-INF, -INF, -INF, -INF],
            [NAN, NAN, NAN, NAN],
            [1e30, -1e30, 0.0, 1e30],
            [100.0, 0.0, -100.0, 90.0],
        ]
    )
    compare(Layer.of(Softmax, None, rows.shape), {"x": rows})
    compare(Layer.of(Softmax, SoftmaxAttrs(axis=0), rows.T.shape), {"x": rows.T})


def test_softmax_of_many_classes_sums_to_one() -> None:
    x = np.random.default_rng(8).standard_normal((2, 300_000))
    y = Layer.of(Softmax, None, x.shape).run({"x": x})[0]["y"]
    assert np.allclose(y.sum(1, dtype=np.float64), 1, rtol=0, atol=1e-6)
