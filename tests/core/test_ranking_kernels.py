"""Accuracy, ArgMax and Reduction on the C++ core: ties, NaN, order, sums of many elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import Layer, cased, compare

from graphc.check.case import Case, cases, draw
from graphc.ops.accuracy import Accuracy, AccuracyAttrs
from graphc.ops.arg_max import ArgMax, ArgMaxAttrs
from graphc.ops.reduction import Reduction, ReductionAttrs

SAMPLES = [case for case in cases() if case.op in (Accuracy, ArgMax, Reduction)]
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: case.id)
def test_samples(case: Case) -> None:
    compare(cased(case), draw(case))


def _equal(layer: Layer, values: dict[str, Any]) -> None:
    """The very same numbers (of float32), whatever the threads."""
    for threads in (1, 3):
        made, wanted = layer.run(values, threads=threads)
        for role, array in made.items():
            target = wanted[role].astype(np.float32)
            assert np.array_equal(array, target, equal_nan=True), role


@pytest.mark.parametrize("top_k", [1, 2, 5])
@pytest.mark.parametrize("ignore", [None, 1])
def test_accuracy(top_k: int, ignore: int | None) -> None:
    rng = np.random.default_rng(0)
    for shape, axis in (((600, 9), 1), ((4, 7, 300), 1), ((4, 300, 7), 2), ((6, 40, 2), 0)):
        attrs = AccuracyAttrs(top_k, axis, ignore)
        labels = tuple(d for i, d in enumerate(shape) if i != axis)
        for tops in (1, 2):
            layer = Layer.of(Accuracy, attrs, shape, labels, tops=tops)
            x = rng.integers(0, 6, shape).astype(float)  # ties everywhere
            x[rng.random(shape) < 0.05] = NAN
            x[rng.random(shape) < 0.05] = INF
            label = rng.integers(0, shape[axis], labels).astype(float)
            _equal(layer, {"x": x, "label": label})


@pytest.mark.parametrize("top_k", [1, 3, 8])
@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_arg_max(top_k: int, values: bool, axis: int | None) -> None:
    rng = np.random.default_rng(1)
    attrs = ArgMaxAttrs(values, top_k, axis)
    for shape in ((9, 8, 150), (8, 300, 8), (400, 9, 8)):
        x = rng.integers(0, 9, shape).astype(float)
        x[rng.random(shape) < 0.05] = NAN
        x[rng.random(shape) < 0.05] = INF
        x[rng.random(shape) < 0.05] = -INF
        x[x == 0] *= rng.choice([1.0, -1.0], (x == 0).sum())
        _equal(Layer.of(ArgMax, attrs, shape), {"x": x})
    _equal(Layer.of(ArgMax, attrs, (8, 8, 8)), {"x": np.full((8, 8, 8), NAN)})
    _equal(Layer.of(ArgMax, attrs, (8, 8, 8)), {"x": np.full((8, 8, 8), -INF)})


def test_arg_max_of_all() -> None:
    x = np.random.default_rng(2).permutation(2000).reshape(2, 1000).astype(float)
    _equal(Layer.of(ArgMax, ArgMaxAttrs(True, 1000), (2, 1000)), {"x": x})


@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
def test_reduction(operation: str) -> None:
    rng = np.random.default_rng(3)
    for shape, axis in (((70, 90, 80), 0), ((70, 90, 80), 1), ((3, 400, 5), -1), ((2, 0), 1)):
        layer = Layer.of(Reduction, ReductionAttrs(operation, axis, 1.7), shape)
        values = {"x": rng.standard_normal(shape)}
        compare(layer, values)
        one, three = (layer.run(values, threads=t)[0]["y"] for t in (1, 3))
        assert np.array_equal(one, three, equal_nan=True)


@pytest.mark.parametrize("special", [NAN, INF, -INF, 1e30])
def test_reduction_of_special_values(special: float) -> None:
    x = np.random.default_rng(4).standard_normal((3, 50))
    x[1, 20] = special
    x[2, 7:9] = [special, -special]
    for operation in ("SUM", "ASUM", "SUMSQ", "MEAN"):
        compare(Layer.of(Reduction, ReductionAttrs(operation, 1), x.shape), {"x": x})


def test_long_sums_are_taken_in_double() -> None:
    x = np.full((1, 3_000_001), 0.1, np.float32)
    y = Layer.of(Reduction, ReductionAttrs(axis=1), x.shape).run({"x": x})[0]["y"]
    assert y[0] == np.float32(x.astype(np.float64).sum())
