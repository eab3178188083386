"""Reshape and Flatten: shapes by hand, ties, errors with facts, hostile options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops.calls import inferred, refused, signature

from graphc.ir.op import Trait
from graphc.ops._blob_shape import BlobShape
from graphc.ops.flatten import Flatten, FlattenAttrs
from graphc.ops.reshape import Reshape, ReshapeAttrs
from graphc.ops.spec import Ctx
from graphc.ops.ties import Tie


def reshape(*dim: int, axis: int = 0, num_axes: int = -1) -> ReshapeAttrs:
    return ReshapeAttrs(BlobShape(dim), axis, num_axes)


@pytest.mark.parametrize(
    ("attrs", "x", "y"),
    [
        (reshape(0, -1), (2, 3, 4), (2, 12)),
        (reshape(-1), (2, 3, 4), (24,)),
        (reshape(0, 0, 0), (2, 3, 4), (2, 3, 4)),
        (reshape(3, 2, axis=1, num_axes=1), (2, 6, 4), (2, 3, 2, 4)),
        (reshape(-1, 1, axis=-1, num_axes=0), (2, 3), (2, 3, 1, 1)),
        (reshape(1, axis=0, num_axes=0), (2, 3), (1, 2, 3)),
        (reshape(0, -1), (0, 3, 4), (0, 12)),
        (reshape(-1, 0), (4, 4), (4, 4)),
        (reshape(), (1, 1), ()),
    ],
)
def test_reshape_shapes(attrs: ReshapeAttrs, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    assert inferred(Reshape, attrs, x) == {"y": y}


@pytest.mark.parametrize(
    ("code", "attrs", "x"),
    [
        ("GC-S002", reshape(5, -1), (2, 3)),
        ("GC-S002", reshape(2, 2), (2, 3)),
        ("GC-S002", reshape(0, 0, 0), (2, 3)),
        ("GC-S002", reshape(4, -1, axis=1, num_axes=1), (0, 6)),
        ("GC-N008", reshape(-1, -1), (2, 3)),
        ("GC-N008", reshape(-2, 3), (2, 3)),
        ("GC-N008", reshape(6, num_axes=-5), (2, 3)),
        ("GC-N008", reshape(6, axis=1, num_axes=2), (2, 3)),
        ("GC-N008", reshape(6, axis=3), (2, 3)),
        ("GC-N008", reshape(6, axis=-4), (2, 3)),
        ("GC-N008", reshape(6, axis=2**31 - 1), (2, 3)),
        ("GC-S001", reshape(2**62, -1), (2, 3)),
        ("GC-S001", reshape(*[2**31 - 1] * 9), (2, 3)),
        ("GC-S001", reshape(*[2**62] * 5000), (2, 3)),
    ],
)
def test_reshape_refuses(code: str, attrs: ReshapeAttrs, x: tuple[int, ...]) -> None:
    refused(code, Reshape, attrs, x)


def test_reshape_tells_both_counts() -> None:
    told = refused("GC-S002", Reshape, reshape(2, 2), (2, 3))
    assert "(2, 3) has 6 elements" in told and "has 4" in told


def test_reshape_keeps_samples_apart_only_if_it_keeps_the_batch() -> None:
    def separable(attrs: ReshapeAttrs) -> bool:
        return Trait.BATCH_SEPARABLE in Reshape.traits_of(attrs, signature(Reshape, attrs, (4, 6)))

    assert separable(reshape(0, 2, 3)) and separable(reshape(-1, 2, 3))
    assert separable(reshape(2, 3, axis=1))
    assert not separable(reshape(-1)) and not separable(reshape(8, 3))
    assert not separable(reshape(4, 2, 3))


@pytest.mark.parametrize(
    ("op", "attrs", "x", "expected"),
    [
        (Flatten, FlattenAttrs(), (2, 3, 4, 5), (Tie("x.1", "y.1", repeat=20),)),
        (Flatten, FlattenAttrs(axis=0), (2, 3, 4), (Tie("x.1", "y.0", repeat=4, tile=2),)),
        (Flatten, FlattenAttrs(axis=2), (2, 3, 4, 5), (Tie("x.1", "y.1"),)),
        (Reshape, reshape(0, -1, 1, 1), (2, 3), (Tie("x.1", "y.1"),)),
        (Reshape, reshape(0, 2, 3, 4), (2, 6, 4), (Tie("y.1", "x.1", repeat=3), Tie("x.2", "y.3"))),
        (Reshape, reshape(0, 0), (2, 3), (Tie("x.1", "y.1"),)),
        (Reshape, reshape(0, 8, 3), (2, 6, 4), ()),
        (Reshape, reshape(0, 6), (0, 6), ()),
    ],
)
def test_ties_of_other_axes(op: Any, attrs: Any, x: tuple[int, ...], expected: Any) -> None:
    assert op.ties(attrs, signature(op, attrs, x)) == expected


def test_flatten_shapes() -> None:
    assert inferred(Flatten, None, (2, 3, 4)) == {"y": (2, 12)}
    assert inferred(Flatten, FlattenAttrs(axis=-2), (2, 3, 4)) == {"y": (2, 12)}
    # an empty range inserts an axis, as Caffe does
    assert inferred(Flatten, FlattenAttrs(axis=2, end_axis=1), (2, 3, 4)) == {"y": (2, 3, 1, 4)}
    refused("GC-N008", Flatten, FlattenAttrs(axis=2, end_axis=0), (2, 3, 4))
    refused("GC-S002", Flatten, None, (2,))
    refused("GC-S002", Flatten, FlattenAttrs(end_axis=2**31 - 1), (2, 3))


@pytest.mark.parametrize("op", [Reshape, Flatten])
def test_gradients_follow_a_smaller_live_batch(op: Any) -> None:
    attrs = reshape(0, -1) if op is Reshape else FlattenAttrs()
    ctx = Ctx(signature(op, attrs, (4, 2, 3)))
    assert op.vjp(attrs, "dx", {"dy": np.zeros((1, 6))}, ctx).shape == (1, 2, 3)
    assert op.reference(attrs, {"x": np.zeros((0, 2, 3))}, ctx)["y"].shape == (0, 6)
