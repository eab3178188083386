"""Operands with gaps between their elements, or in another order: taken, or refused with a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from core.rows import gapped
from cuda.bench import DTYPES, Bench, memory, spec, turned

from graphc.cuda import STRIDED, Spec, work
from graphc.cuda.launch import ITEM_BYTES, ITEMS
from graphc.cuda.on_cpu import unavailable
from graphc.errors import GraphError

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

RNG = np.random.default_rng(1)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X = numbers(3, 4, 5, 6)
PADDED = np.zeros((3, 4, 5, 6), np.float32)
PADDED[:, 1:3, 2:, :5] = X[:, 1:3, 2:, :5]
USES: dict[str, tuple[Any, list[np.ndarray], list[np.ndarray]]] = {
    "concat": ({"axis": 1}, [X[:, :1], X[:, 1:]], [X]),
    "copy": ({}, [X], [X, X]),
    "crop": ({"offset": (0, 1, 2, 0)}, [X], [X[:, 1:3, 2:, :5]]),
    "crop_gradient": ({"offset": (0, 1, 2, 0)}, [X[:, 1:3, 2:, :5]], [PADDED]),
    "slice": ({"axis": 2}, [X], [X[:, :, :2], X[:, :, 2:]]),
    "tile": ({"axis": 1}, [X], [np.tile(X, (1, 3, 1, 1))]),
}


LAYOUTS = {"with gaps": (gapped, gapped), "turned": (turned, np.array), "back": (np.array, turned)}


def described(array: np.ndarray) -> Spec:
    dense = spec(array)
    return Spec(dense.dtype, array.shape, tuple(s // array.itemsize for s in array.strides))


Made = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], Any]
CASES = [(symbol, layout) for symbol in USES for layout in LAYOUTS]


def made(symbol: str, layout: str) -> Made:
    told, reads, wanted = USES[symbol]
    of_reads, of_writes = LAYOUTS[layout]
    ins = [of_reads(x) for x in reads]
    outs = [of_writes(np.full_like(y, np.nan)) for y in wanted]
    return ins, outs, wanted, work(symbol, told, [*map(described, ins)], [*map(described, outs)])


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench([made(*case)[-1] for case in CASES])


def test_all_that_take_strides_are_tried() -> None:
    assert USES.keys() == STRIDED


@pytest.mark.parametrize(("symbol", "layout"), CASES)
def test_operands_of_any_strides(bench: Bench, symbol: str, layout: str) -> None:
    ins, outs, wanted, work_ = made(symbol, layout)
    bench.run(work_, [*map(memory, ins), *map(memory, outs)])
    for found, each in zip(outs, wanted, strict=True):
        np.testing.assert_array_equal(found, each)


@pytest.mark.parametrize(
    ("symbol", "told", "shapes", "message"),
    [
        ("softmax", {"axis": 1}, ((2, 3, 4),), r"operand 0 has strides \(24, 8, 2\)"),
        ("expr", {}, ((2, 3, 4, 5),), "operand 0 has strides"),
        ("conv", {"relu": True}, ((2, 3, 4, 5),) * 2, "it has no epilogue 'relu'"),
    ],
)
def test_what_is_not_taken_is_refused(
    symbol: str, told: Any, shapes: Sequence[tuple[int, ...]], message: str
) -> None:
    specs = [described(np.zeros((*s[:-1], 2 * s[-1]), np.float32)[..., ::2]) for s in shapes]
    with pytest.raises(GraphError, match=f"GC-A001: cuda kernel {symbol}: {message}"):
        work(symbol, told, specs, specs)


def test_images_of_both_orders_are_not_taken_together() -> None:
    both = [described(turned(X)), described(X)]
    with pytest.raises(GraphError, match=r"operand 1 has strides .*, beside others with channels"):
        work("mean_pool", {}, both[:1], both[1:])


def test_labels_lie_as_they_are() -> None:
    x, label, loss = described(turned(X)), described(turned(X[:, 0])), Spec("f32", ())
    told = {"axis": 1, "divisor": 1}
    with pytest.raises(GraphError, match=r"operand 1 has strides .*, not dense ones"):
        work("softmax_with_loss", told, [x, label], [loss])


def test_item_types_are_as_wide_as_arrays_of_them() -> None:
    assert {name: np.dtype(d).itemsize for name, d in DTYPES.items()} == ITEM_BYTES
    assert ITEMS.keys() == ITEM_BYTES.keys()
