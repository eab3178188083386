"""Floats: arrays without NumPy, and with it."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import _core
from graphc.errors import GraphError
from graphc.floats import Floats, as_array
from graphc.ir.weights import Weights


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 4), (2, 1, 3, 1)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    held = Floats.of(array)
    assert (held.shape, held.ndim, held.numbers.format) == (shape, array.ndim, "f")
    assert held.numbers.tolist() == array.ravel().tolist()
    back = as_array(held)
    assert back.dtype == np.float32 and back.shape == shape and np.array_equal(back, array)
    assert Floats.of(held) is held and as_array(array) is array


def test_the_array_is_a_view_and_numpy_finds_it() -> None:
    memory = bytearray(16)
    held = Floats.over(memory, (2, 2))
    held.array[1, 0] = 2.5
    assert held.numbers[2] == 2.5
    assert np.shares_memory(np.asarray(held), held.array)
    copy = np.array(held, np.float64)
    copy[...] = 7
    assert copy.dtype == np.float64 and held.numbers[2] == 2.5
    assert np.stack([held, held]).shape == (2, 2, 2)


def test_elements_in_another_order_are_copied() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert Floats.of(array.T).numbers.tolist() == [0, 3, 1, 4, 2, 5]


def test_weights_become_arrays_when_asked_for() -> None:
    weights = Weights()
    held = Floats.over(bytearray(8), (2,))
    weights.hold("a", held)
    weights["b"] = np.ones(3, np.float32)
    assert "a" in weights and "c" not in weights and list(weights) == ["a", "b"]
    assert weights.held("a") is held and len(weights) == 2
    weights["a"][1] = 4
    assert held.numbers[1] == 4 and weights.held("a") is weights["a"]
    assert {name: array.size for name, array in weights.items()} == {"a": 2, "b": 3}
    del weights["b"]
    assert dict(weights).keys() == {"a"}
    with pytest.raises(KeyError):
        weights["b"]


def row(*numbers: float) -> memoryview:
    return Floats.of(np.array(numbers, np.float32)).numbers


def test_figures() -> None:
    assert _core.figures(row(1, -2, 4)) == (-2, 1, 4)
    assert _core.figures(row(5)) == (5, 5, 5)
    for numbers in ((np.nan, 1), (1, np.nan, 2)):
        assert np.isnan(_core.figures(row(*numbers))).all()
    assert _core.figures(row(1, np.inf)) == (1, np.inf, np.inf)
    assert np.isnan(_core.figures(row(-np.inf, np.inf))[1])
    noise = np.random.default_rng(0).standard_normal(100_001).astype(np.float32)
    found = _core.figures(Floats.of(noise).numbers)
    assert found[0] == noise.min() and found[2] == noise.max()
    assert found[1] == pytest.approx(noise.astype(np.float64).mean(), rel=1e-12)


def test_ranked_as_a_stable_sort_ranks() -> None:
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 100):
        numbers = rng.integers(-3, 4, size).astype(np.float32)
        numbers[rng.random(size) < 0.2] = rng.choice([np.nan, np.inf, -np.inf, -0.0])
        wanted = np.argsort(-numbers, kind="stable").tolist()
        for top in (0, 1, 5, size, size + 3):
            assert _core.ranked(Floats.of(numbers).numbers, top) == wanted[:top]


def test_what_is_no_row_of_floats_is_refused() -> None:
    doubles, plane = np.ones(3).data, np.ones((2, 2), np.float32).data
    gaps = np.ones(6, np.float32)[::2].data
    for data in (doubles, plane, gaps, np.ones(3, np.int32).data):
        for call in (_core.figures, lambda data: _core.ranked(data, 1)):
            with pytest.raises(GraphError, match="GC-R001"):
                call(data)
    with pytest.raises(GraphError, match="GC-R001"):
        _core.figures(row())
