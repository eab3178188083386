"""Windows along an axis, unfolding and folding."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from graphc.ops import _windows
from graphc.ops._windows import Window, blocks, fold, kernel_count, unfold, window_count

WINDOWS = [
    Window(size, kernel, stride, pad, dilation)
    for size, kernel, stride, pad, dilation in product(
        (1, 2, 5), (1, 2, 3), (1, 2, 7), (0, 1, 6), (1, 3)
    )
]
WINDOWS = [w for w in WINDOWS if w.out >= 1]


def by_hand(w: Window, offset: int) -> list[tuple[int, int]]:
    """(window, element) pairs for one kernel element."""
    where = ((p, p * w.stride - w.pad + offset * w.dilation) for p in range(w.out))
    return [(p, i) for p, i in where if 0 <= i < w.size]


@pytest.mark.parametrize("w", WINDOWS, ids=str)
def test_span_lists_the_elements_inside(w: Window) -> None:
    for offset in range(w.kernel):
        for first, stop in ((0, w.out), (w.out // 2, w.out)):
            inside, under = w.span(offset, first, stop)
            pairs = zip(range(first, stop)[inside], range(w.size)[under], strict=True)
            assert list(pairs) == [(p, i) for p, i in by_hand(w, offset) if first <= p < stop]


def test_unfold_and_fold_are_transposes() -> None:
    rng = np.random.default_rng(0)
    windows = (Window(5, 3, 2, 1), Window(4, 2, 1, 0, 2), Window(3, 1))
    x = rng.standard_normal((2, 5, 4, 3))
    columns = rng.standard_normal((2, kernel_count(windows), window_count(windows)))
    image = np.zeros_like(x)
    fold(columns, windows, image)
    assert np.isclose((unfold(x, windows) * columns).sum(), (image * x).sum())


def test_rows_are_a_part_of_the_whole() -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 5))
    for windows in ((Window(6, 3, 2, 1), Window(5, 2)), (Window(6, 1), Window(5, 1))):
        whole = unfold(x, windows).reshape(2, -1, windows[0].out, windows[1].out)
        part = unfold(x, windows, (1, 3)).reshape(2, -1, 2, windows[1].out)
        assert np.array_equal(part, whole[:, :, 1:3])


def test_pad_costs_no_memory() -> None:
    """A pad of 10^9 around one element: only the windows count."""
    windows = (Window(1, 3, 10**9, 10**9),)
    assert windows[0].out == 2
    assert unfold(np.ones((1, 1)), windows).tolist() == [[[0, 1], [0, 0], [0, 0]]]


@pytest.mark.parametrize("limit", [1, 7, 50, 10**9])
def test_blocks_cover_every_window_once(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(_windows, "BLOCK", limit)
    windows = (Window(5, 2), Window(3, 3))
    seen = np.zeros((3, windows[0].out), int)
    for samples, rows in blocks(3, 2, windows):
        seen[samples, slice(*rows)] += 1
    assert (seen == 1).all()


def test_no_spatial_axis_is_one_window() -> None:
    assert unfold(np.ones((4,)), ()).shape == (4, 1, 1)
    assert [rows for _, rows in blocks(2, 3, ())] == [(0, 1)]
