"""The judge itself: what passes, and above all what does not."""

from __future__ import annotations

import numpy as np
import pytest
from golden.caffe_cases import Case, ratio
from golden.replay import judge

INF, NAN = np.inf, np.nan


def test_within_the_tolerance() -> None:
    assert ratio(np.array([1.0, 100.0]), np.array([1.0, 100.005]), 1e-4, 1e-5) < 1
    assert ratio(np.zeros((0, 3)), np.zeros((0, 3)), 1e-4, 1e-5) == 0
    assert ratio(np.array([INF, NAN, -INF]), np.array([INF, NAN, -INF]), 1e-4, 1e-5) == 0


@pytest.mark.parametrize(
    ("ours", "caffe"),
    [
        ([1.0, 2.001], [1.0, 2.0]),
        ([[1.0]], [1.0]),
        (1.0, [1.0]),
        ([INF], [-INF]),
        ([NAN], [1.0]),
        ([1.0], [NAN]),
        ([NAN], [INF]),
        ([1.0, INF], [1.0, 2.0]),
    ],
)
def test_outside_the_tolerance(ours: object, caffe: object) -> None:
    assert ratio(np.array(ours), np.array(caffe), 1e-4, 1e-5) > 1


def test_labels_must_be_exact() -> None:
    layers = [{"name": "d", "type": "Data", "bottoms": [], "tops": ["label"]}]
    case = Case("one", {"layers": layers, "rtol": 1e-4, "atol": 1e-5}, {})
    label = np.array([1000.0], np.float32)
    assert judge(case, "step0/out/label", label, label).share == 0
    assert judge(case, "step0/out/label", label + np.float32(0.01), label).share == INF
    assert judge(case, "out/y", label + np.float32(0.01), label).share < 1
    assert judge(case, "out/label", None, label).share == INF
