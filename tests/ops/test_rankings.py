"""Accuracy and ArgMax: ties, NaN, options that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from ops.calls import Call, inferred, refused

from graphc.errors import GraphError
from graphc.ops.accuracy import Accuracy, AccuracyAttrs
from graphc.ops.arg_max import ArgMax, ArgMaxAttrs


def test_a_tie_counts_against_the_label() -> None:
    scores = [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert Call(Accuracy, None, scores, [0, 0]).out["accuracy"] == 0.5
    assert Call(Accuracy, AccuracyAttrs(top_k=2), scores, [0, 0]).out["accuracy"] == 1


def test_nan_of_the_label_counts_as_right() -> None:
    """No comparison with NaN holds, so Caffe finds nobody better."""
    assert Call(Accuracy, None, [[np.nan, 1.0]], [0]).out["accuracy"] == 1
    assert Call(Accuracy, None, [[np.nan, 1.0]], [1]).out["accuracy"] == 1


def test_accuracy_per_class() -> None:
    scores = np.eye(4)[[0, 1, 1, 2]]
    call = Call(Accuracy, AccuracyAttrs(ignore_label=2), scores, [0, 1, 0, 2], tops=2)
    assert call.out["accuracy"] == pytest.approx(2 / 3)
    assert call.out["per_class"].tolist() == [0.5, 1, 0, 0]


def test_accuracy_of_nothing_is_zero() -> None:
    attrs = AccuracyAttrs(ignore_label=1)
    assert Call(Accuracy, attrs, np.zeros((2, 3)), [1, 1]).out["accuracy"] == 0
    assert Call(Accuracy, None, np.zeros((0, 3)), np.zeros(0)).out["accuracy"] == 0


def test_accuracy_refuses() -> None:
    assert "top_k is 0" in refused("GC-N008", Accuracy, AccuracyAttrs(top_k=0), (2, 3), (2,))
    told = refused("GC-N008", Accuracy, AccuracyAttrs(top_k=4), (2, 3), (2,))
    assert "top_k is 4, but x has 3 classes" in told
    refused("GC-S002", Accuracy, AccuracyAttrs(axis=2**31 - 1), (2, 3), (2,))
    refused("GC-S003", Accuracy, None, (2, 3), (3,))
    with pytest.raises(GraphError) as caught:
        Call(Accuracy, None, np.zeros((2, 3)), [0, 3])
    assert caught.value.code == "GC-D003"


def test_argmax_puts_the_larger_index_of_equals_first() -> None:
    call = Call(ArgMax, ArgMaxAttrs(top_k=3), [[2.0, 5.0, 1.0, 5.0]])
    assert call.out["y"].tolist() == [[[3, 1, 0]]]


def test_argmax_shapes() -> None:
    assert inferred(ArgMax, None, (3, 8)) == {"y": (3, 1, 1)}
    assert inferred(ArgMax, ArgMaxAttrs(out_max_val=True, top_k=2), (3, 4, 2)) == {"y": (3, 2, 2)}
    assert inferred(ArgMax, ArgMaxAttrs(top_k=2), (3, 4, 2, 5, 6)) == {"y": (3, 1, 2, 1, 1)}
    assert inferred(ArgMax, None, (3,)) == {"y": (3, 1, 1)}
    assert inferred(ArgMax, ArgMaxAttrs(axis=-2, top_k=2), (3, 4, 5)) == {"y": (3, 2, 5)}


def test_argmax_refuses() -> None:
    refused("GC-N008", ArgMax, ArgMaxAttrs(top_k=0), (3, 8))
    assert "8 elements per sample" in refused("GC-N008", ArgMax, ArgMaxAttrs(top_k=9), (3, 8))
    told = refused("GC-N008", ArgMax, ArgMaxAttrs(top_k=9, axis=1), (3, 8, 2))
    assert "8 elements along axis 1" in told
    refused("GC-S002", ArgMax, ArgMaxAttrs(axis=-4), (3, 8))
    refused("GC-S002", ArgMax, None, ())
