"""Copies and elementwise kernels over blocks of channels, of which they know nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.blocked import blocked, plain, room, run
from core.rows import Layer, close, spec
from core.test_blocked_kernels import LANES, normal, numbers

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.batch_norm import BatchNorm, BatchNormAttrs
from graphc.ops.bias import Bias
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.prelu import PReLU
from graphc.ops.relu import ReLU, ReLUAttrs
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.ops.spec import OpSpec

SHAPES = [(3, 37, 9, 11), (2, 16, 7, 7), (1, 70, 20, 20), (4, 11, 1, 1), (2, 33, 1, 400)]
GAPS = [(0, 0, 0), (2, 0, 0), (0, 0, 3), (2, 3, 1)]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("gaps", GAPS)
def test_copies_of_slices_of_channels(gaps: tuple[int, int, int], lanes: int) -> None:
    for shape in SHAPES:
        x = normal(shape)
        targets = [room(shape, lanes, gap) for gap in gaps[1:]]
        for threads in (1, 3):
            for y in run("copy", [blocked(x, lanes, gaps[0])], targets, threads):
                assert np.array_equal(plain(y, shape[1]), x)
                y[...] = np.nan


ELEMENTWISE: dict[str, tuple[type[OpSpec], Any]] = {
    "relu": (ReLU, None),
    "leaky": (ReLU, ReLUAttrs(negative_slope=0.1)),
    "sum": (Eltwise, None),
    "weighted sum": (Eltwise, EltwiseAttrs(coeff=(0.5, -2.0))),
    "product": (Eltwise, EltwiseAttrs("PROD")),
    "maximum": (Eltwise, EltwiseAttrs("MAX")),
}


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize(("op", "attrs"), ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_elementwise(op: type[OpSpec], attrs: Any, gaps: Any, lanes: int) -> None:
    for shape in SHAPES:
        xs = [normal(shape, seed) for seed in range(1 if op is ReLU else 2)]
        layer = Layer.of(op, attrs, *(shape,) * len(xs)).without("mask")
        expected, _ = layer.run(dict(zip(layer.sig.ins, xs, strict=True)))
        sources = [blocked(x, lanes, gap) for x, gap in zip(xs, gaps, strict=False)]
        for threads in (1, 3):
            (y,) = run("expr", sources, [room(shape, lanes, gaps[2])], threads, **numbers(layer))
            assert plain(y, shape[1]).tobytes() == expected["y"].tobytes()
        run("expr", sources, sources[:1], **numbers(layer))  # over its first operand
        assert plain(sources[0], shape[1]).tobytes() == expected["y"].tobytes()


CHANNELWISE: dict[str, tuple[type[OpSpec], Any]] = {
    "scale": (Scale, None),
    "scale and bias": (Scale, ScaleAttrs(bias_term=True)),
    "bias": (Bias, None),
    "prelu": (PReLU, None),
}


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("gaps", [(0, 0), (2, 0), (0, 3)])
@pytest.mark.parametrize(("op", "attrs"), CHANNELWISE.values(), ids=CHANNELWISE)
def test_a_number_per_channel(op: type[OpSpec], attrs: Any, gaps: Any, lanes: int) -> None:
    """Repeated for each sample and pixel, if it is (1, blocks, 1, 1, B)."""
    for shape in SHAPES:
        layer = Layer.of(op, attrs, shape)
        x, c = normal(shape), shape[1]
        params = {role: normal((c,), seed) for seed, role in enumerate(layer.sig.params, 1)}
        expected, wanted = layer.run({"x": x, **params})
        rows = [
            run("block", [row.reshape(1, c, 1, 1)], [room((1, c, 1, 1), lanes)], channels=c)[0]
            for row in params.values()
        ]
        told = {**numbers(layer), "starts": (-1,) * (1 + len(rows))}
        source = blocked(x, lanes, gaps[0])
        for threads in (1, 3):
            (y,) = run("expr", [source, *rows], [room(shape, lanes, gaps[1])], threads, **told)
            assert plain(y, c).tobytes() == expected["y"].tobytes()
            close(plain(y, c), wanted["y"])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("gaps", [(0, 0), (2, 0), (0, 3)])
def test_batch_norm_by_given_statistics(gaps: tuple[int, int], lanes: int) -> None:
    for shape in SHAPES:
        layer = Layer.of(BatchNorm, BatchNormAttrs(use_global_stats=True, eps=0.0), shape)
        x, c = normal(shape) + np.float32(2), shape[1]
        mean, variance = normal((c,), 1), np.square(normal((c,), 2))
        values = {"mean": mean, "variance": variance, "factor": np.full(1, 2, np.float32)}
        expected, wanted = layer.run({"x": x, **values})
        for threads in (1, 3):
            (y,) = run(
                "batch_norm",
                [blocked(x, lanes, gaps[0]), *values.values()],
                [room(shape, lanes, gaps[1])],
                threads,
                eps=0.0,
                channels=c,
            )
            assert plain(y, c).tobytes() == expected["y"].tobytes()
            close(plain(y, c), wanted["y"])


def test_broadcasts_in_any_layout() -> None:
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((3, 5, 40, 6)).astype(np.float32)
    told = {"code": (9, -1, 0, 1), "constants": (), "starts": (-1, -1)}  # add
    for dims in ((1, 5, 1, 6), (3, 1, 40, 1), (1, 1, 1, 1), (1, 5, 40, 1), (3, 5, 1, 6)):
        row = rng.standard_normal(dims).astype(np.float32)
        for order in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)):
            y = np.zeros([whole.shape[i] for i in order], np.float32)
            y = y.transpose(np.argsort(order))
            run("expr", [whole, row], [y], 2, **told)
            assert np.array_equal(y, whole + row)


def test_results_are_not_repeated() -> None:
    told = {"code": (0, -1, 0), "constants": (), "starts": (-1,)}
    x, y = spec(np.zeros((4, 5), np.float32)), spec(np.zeros((4, 5), np.float32))
    one = spec(np.zeros((1, 5), np.float32))
    _core.make_kernel("expr", [one], [x], told)
    for reads, writes in (([x], [one]), ([x], [y, one])):
        code = told | {"code": (0, -1, 0, 0, -2, 0)[: 3 * len(writes)]}
        with pytest.raises(GraphError, match="GC-A001"):
            _core.make_kernel("expr", reads, writes, code)


@pytest.mark.parametrize(
    ("x", "y", "channels"),
    [
        ((2, 2, 3, 3, 8), (2, 2, 3, 3, 8), 17),
        ((2, 2, 3, 3, 4), (2, 2, 3, 3, 4), 8),
        ((2, 2, 3, 3, 8), (2, 1, 3, 3, 16), 16),
        ((2, 2, 3, 3, 8), (2, 2, 3, 4, 8), 16),
    ],
)
def test_unfit_batch_norms_are_refused(x: Any, y: Any, channels: int) -> None:
    reads = [("f32", dims, None) for dims in (x, (channels,), (channels,), (1,))]
    with pytest.raises(GraphError, match="GC-A001"):
        _core.make_kernel("batch_norm", reads, [("f32", y, None)], {"eps": 0, "channels": channels})
