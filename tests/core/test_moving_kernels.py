"""Kernels that move elements and compute nothing: bit for bit what numpy makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from core.rows import DTYPES, Layer, cased, gapped, rows_of, spec

from graphc import _core
from graphc.check.case import Case, draw
from graphc.errors import GraphError
from graphc.ops.batch_reindex import BatchReindex
from graphc.ops.concat import Concat, ConcatAttrs
from graphc.ops.crop import Crop, CropAttrs
from graphc.ops.flatten import Flatten
from graphc.ops.parameter import Parameter
from graphc.ops.reshape import Reshape
from graphc.ops.slice import Slice, SliceAttrs
from graphc.ops.split import Split
from graphc.ops.tile import Tile, TileAttrs

OPS = (BatchReindex, Concat, Crop, Flatten, Parameter, Reshape, Slice, Split, Tile)
CASES = [Case(op, i) for op in OPS for i in range(len(op.samples))]


def exact(layer: Layer, values: Any, **how: Any) -> None:
    made, wanted = layer.run(values, **how)
    assert made.keys() == wanted.keys()
    for role, array in made.items():
        assert np.array_equal(array, wanted[role].astype(array.dtype)), role


@pytest.mark.parametrize("place", [np.array, gapped], ids=["dense", "gapped"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_samples(case: Case, place: Any) -> None:
    exact(cased(case), draw(case), place=place)
    assert all(row.strided for row in rows_of(case.op, "forward"))


LAYERS = {
    "concat": Layer.of(Concat, None, (3, 70, 33, 35), (3, 1, 33, 35), (3, 16, 33, 35)),
    "concat of the last axis": Layer.of(Concat, ConcatAttrs(axis=3), (9, 8, 77, 3), (9, 8, 77, 5)),
    "concat of the batch": Layer.of(Concat, ConcatAttrs(axis=0), (5, 9000), (2, 9000)),
    "slice": Layer.of(Slice, SliceAttrs(slice_point=(7, 50)), (3, 64, 33, 35), tops=3),
    "slice of the last axis": Layer.of(Slice, SliceAttrs(axis=-1), (64, 99, 6), tops=2),
    "crop": Layer.of(Crop, CropAttrs(offset=(3, 5)), (3, 16, 64, 65), (1, 1, 55, 51)),
    "crop of everything": Layer.of(
        Crop, CropAttrs(0, (1, 2, 3, 4)), (4, 9, 50, 60), (3, 7, 40, 50)
    ),
    "tile": Layer.of(Tile, TileAttrs(tiles=7), (5, 11, 13, 17)),
    "tile of the last axis": Layer.of(Tile, TileAttrs(axis=-1, tiles=9), (50, 60, 7)),
    "tile of single elements": Layer.of(Tile, TileAttrs(axis=2, tiles=300), (50, 6, 1)),
    "tile of eight axes": Layer.of(Tile, TileAttrs(axis=3, tiles=3), (2, 3, 2, 2, 3, 2, 2, 2)),
    "split": Layer.of(Split, None, (3, 64, 33, 35), tops=3),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("place", [np.array, gapped], ids=["dense", "gapped"])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_large_cases(layer: Layer, place: Any, threads: int) -> None:
    rng = np.random.default_rng(0)
    values = {role: rng.standard_normal(t.shape) for role, t in layer.sig.ins.items()}
    exact(layer, values, place=place, threads=threads)


def scattered(rng: np.random.Generator, dims: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of `dims` whose axes lie in any order in memory, perhaps with gaps."""
    order = rng.permutation(len(dims))
    gaps = rng.integers(0, 2, len(dims))
    room = np.zeros([dims[i] + 2 * gaps[i] for i in order], dtype)
    room = room[(*(slice(gaps[i], gaps[i] + dims[i]) for i in order), ...)]
    return room.transpose(np.argsort(order))


@pytest.mark.parametrize("seed", range(60))
def test_copy_from_any_layout_to_any_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(0, 9))
    most = [0, 900, 70, 30, 14, 9, 6, 5, 4][rank]
    dims = tuple(int(d) for d in rng.integers(1, most + 1, rank)) if rank else ()
    dtype = list(DTYPES.values())[seed % 4]
    source, target = scattered(rng, dims, dtype), scattered(rng, dims, dtype)
    source[...] = rng.integers(0, 200, dims)
    around = target.base if target.base is not None else target
    kernel = _core.make_kernel("copy", [spec(source)], [spec(target)], {})
    kernel.run([source], [target], 1 + seed % 2)
    assert np.array_equal(target, source)
    target[...] = 0
    assert not around.any(), "written outside"


@pytest.mark.parametrize("threads", [1, 2])
def test_large_transpositions(threads: int) -> None:
    source = np.arange(3 * 67 * 90 * 33, dtype=np.float32).reshape(3, 67, 90, 33)
    for order in ((0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 3, 2)):
        turned = source.transpose(order)
        target = np.zeros(turned.shape, np.float32)
        kernel = _core.make_kernel("copy", [spec(turned)], [spec(target)], {})
        kernel.run([turned], [target], threads)
        assert np.array_equal(target, turned)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((2, 3, 4, 5), (2, 60)),
        ((2, 60), (2, 3, 4, 5)),
        ((4, 6), (6, 4)),  # with gaps on both sides: no common axes
        ((6, 4, 5), (4, 30)),
        ((2, 3, 2, 3, 2), (3, 2, 3, 4)),
        ((2,) * 8, (256,)),
        ((0, 3), (3, 0, 5)),
        ((1, 7, 1), (7,)),
        ((), (1, 1)),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_reshape_of_any_gaps(before: tuple[int, ...], after: tuple[int, ...], dtype: Any) -> None:
    values = np.arange(math.prod(before)).astype(dtype)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        source = np.array(values.reshape(before)) if seed == 0 else scattered(rng, before, dtype)
        target = np.zeros(after, dtype) if seed == 1 else scattered(rng, after, dtype)
        source[...] = values.reshape(before)
        _core.make_kernel("reshape", [spec(source)], [spec(target)], {}).run([source], [target])
        assert np.array_equal(target, values.reshape(after))


@pytest.mark.parametrize("threads", [1, 2])
def test_gather_truncates_and_takes_rows_of_any_layout(threads: int) -> None:
    rng = np.random.default_rng(5)
    x = scattered(rng, (9, 33, 70), np.float32)
    x[...] = rng.standard_normal(x.shape)
    index = rng.integers(0, 9, 40) + rng.choice([0, 0.25, 0.99], 40)
    index[0] = -0.7  # truncates to 0
    numbers = np.repeat(index.astype(np.float32), 2)[::2]
    y = scattered(rng, (40, 33, 70), np.float32)
    _core.make_kernel("gather", [spec(x), spec(numbers)], [spec(y)], {}).run(
        [x, numbers], [y], threads
    )
    assert np.array_equal(y, x[np.trunc(index).astype(int)])


@pytest.mark.parametrize("bad", [-1.0, 4.0, np.nan, np.inf, -np.inf, 3e9])
def test_gather_reports_an_index_out_of_range_as_the_reference_does(bad: float) -> None:
    layer = Layer.of(BatchReindex, None, (4, 3), (3,))
    values = {"x": np.zeros((4, 3)), "index": np.array([1.0, bad, 2.0])}
    with pytest.raises(GraphError) as wanted:
        layer.op.reference(None, values, None)
    x, index = np.zeros((4, 3), np.float32), values["index"].astype(np.float32)
    y = np.zeros((3, 3), np.float32)
    kernel = _core.make_kernel("gather", [spec(x), spec(index)], [spec(y)], {})
    with pytest.raises(GraphError) as caught:
        kernel.run([x, index], [y])
    assert caught.value.code == wanted.value.code == "GC-D003"
    assert caught.value.message == wanted.value.message


A, B = ("f32", (2, 3, 4), None), ("f32", (2, 5, 4), None)
NUMBERS = ("f32", (3,), None)


@pytest.mark.parametrize(
    ("symbol", "reads", "writes", "attrs", "word"),
    [
        ("reshape", [A], [B], {}, "size"),
        ("reshape", [A], [("i32", (2, 3, 4), None)], {}, "element type"),
        ("concat", [], [A], {"axis": 1}, "operand"),
        ("concat", [A, A], [B], {"axis": 1}, "fill"),
        ("concat", [A, B], [B], {"axis": 0}, "but for axis 0"),
        ("concat", [A], [A], {"axis": 3}, "axis 3"),
        ("concat", [A], [A], {"axis": -1}, "axis -1"),
        ("slice", [B], [A], {"axis": 1}, "use up"),
        ("slice", [B], [A, A], {"axis": 1}, "use up"),
        ("slice", [B], [A], {"axis": 2}, "but for axis 2"),
        ("crop", [B], [A], {"offset": (0, 3, 0)}, "lie in"),
        ("crop", [B], [A], {"offset": (0, -1, 0)}, "lie in"),
        ("crop", [B], [A], {"offset": (0, 1)}, "lie in"),
        ("crop", [A], [B], {"offset": (0, 0, 0)}, "lie in"),
        ("tile", [A], [B], {"axis": 1}, "multiple"),
        ("tile", [A], [B], {"axis": 2}, "but for axis 2"),
        ("gather", [A], [A], {}, "takes 2"),
        ("gather", [A, NUMBERS], [A], {}, "one number for each row"),
        ("gather", [A, ("i64", (2,), None)], [A], {}, "one number for each row"),
        ("gather", [B, NUMBERS], [("f32", (3, 3, 4), None)], {}, "but for axis 0"),
    ],
)
def test_wrong_problems_are_refused(symbol, reads, writes, attrs, word) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(symbol, reads, writes, attrs)
    assert caught.value.code == "GC-A001"
