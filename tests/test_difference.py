"""How far two arrays are apart, and where."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.difference import CLOSE, DIFFERENT, EQUAL, NANS, SHAPES, Made, difference

MADE = Made("y", "r", "ReLU", ("c", "r"))
NAN, INF = float("nan"), float("inf")


def compare(a: object, b: object, tolerance: float = 1e-4):
    return difference(MADE, np.array(a, np.float32), np.array(b, np.float32), tolerance)


def test_figures() -> None:
    found = compare([[1, 2], [3, 5]], [[1, 2.5], [3, -8]], tolerance=2)
    assert (found.made, found.verdict, found.ok) == (MADE, CLOSE, True)
    assert (found.shape, found.shape_b) == ((2, 2), (2, 2))
    assert (found.max_abs, found.relative) == (13, 13 / 8)
    assert found.rms == pytest.approx(math.sqrt((0.5**2 + 13**2) / 4))
    assert (found.index, found.at_a, found.at_b) == ((1, 1), 5, -8)


@pytest.mark.parametrize(
    ("a", "b", "tolerance", "verdict"),
    [
        ([1.0], [1.0], 0, EQUAL),
        ([0.0], [-0.0], 0, EQUAL),
        ([100.009], [100], 1e-4, CLOSE),
        ([100.02], [100], 1e-4, DIFFERENT),
        # what decides is the blob's largest value, not the one that differs
        ([100, 0.009], [100, 0], 1e-4, CLOSE),
        ([100, 0.02], [100, 0], 1e-4, DIFFERENT),
        # values that are all small are held to 0.001
        ([0.9e-7], [0], 1e-4, CLOSE),
        ([1.2e-7], [0], 1e-4, DIFFERENT),
        ([1e-7], [0], 0, DIFFERENT),
        ([NAN, 1], [NAN, 1], 1e-4, EQUAL),
        ([NAN, 1], [2, 1], 1e-4, NANS),
        ([1, 2], [1, NAN], 1e9, NANS),
        ([INF, 1], [INF, 1], 1e-4, EQUAL),
        ([INF, 1.5], [INF, 1], 1e-4, DIFFERENT),
        ([INF], [-INF], 1e-4, DIFFERENT),
        ([INF], [1], 1e-4, DIFFERENT),
        ([[1.0]], [1.0], 1e-4, SHAPES),
        (1.0, 1.0, 1e-4, EQUAL),
        ([], [], 1e-4, EQUAL),
        ([3e38], [-3e38], 1e-4, DIFFERENT),
    ],
)
def test_verdicts(a: object, b: object, tolerance: float, verdict: str) -> None:
    found = compare(a, b, tolerance)
    assert found.verdict == verdict
    assert found.ok is (verdict in (EQUAL, CLOSE))


def test_a_nan_is_pointed_at() -> None:
    found = compare([[9, 1], [2, NAN]], [[1, 1], [2, 3]])
    assert found.index == (1, 1) and math.isnan(found.at_a) and found.at_b == 3
    assert math.isnan(found.max_abs) and math.isnan(found.rms)


def test_shapes_are_both_told() -> None:
    found = compare([[1, 2]], [1, 2])
    assert (found.shape, found.shape_b, found.index) == ((1, 2), (2,), None)
