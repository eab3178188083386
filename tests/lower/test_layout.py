"""Layouts against numpy: which elements a view has, and which two views share."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from graphc.lower._layout import Layout, dense, overlap, reshaped, sliced


def elements(layout: Layout) -> np.ndarray:
    """Element numbers of the root, in the view's order."""
    grid = np.indices(layout.dims).reshape(len(layout.dims), -1)
    return layout.offset + np.tensordot(np.array(layout.strides, np.int64), grid, 1)


def splits(rng: random.Random, size: int) -> tuple[int, ...]:
    """Random dims of a product `size`, with ones between."""
    dims: list[int] = []
    while size > 1:
        factors = [f for f in range(2, size + 1) if size % f == 0]
        dims.append(rng.choice(factors))
        size //= dims[-1]
    for _ in range(rng.randint(0, 2)):
        dims.insert(rng.randint(0, len(dims)), 1)
    return tuple(dims)


def random_view(rng: random.Random, dims: tuple[int, ...]) -> tuple[Layout, np.ndarray]:
    """A chain of slices and reshapes, by layout and by numpy."""
    layout, array = dense(dims), np.arange(math.prod(dims)).reshape(dims)
    for _ in range(rng.randint(0, 4)):
        if rng.random() < 0.6:
            axis = rng.randrange(len(layout.dims))
            start = rng.randint(0, layout.dims[axis])
            stop = rng.randint(start, layout.dims[axis])
            layout = sliced(layout, axis, start, stop)
            array = array[(slice(None),) * axis + (slice(start, stop),)]
        elif layout.size:
            dims = splits(rng, layout.size) or (1,)
            found = reshaped(layout, dims)
            moved = array.reshape(dims)
            assert (found is not None) == np.shares_memory(moved, array)
            if found is not None:
                layout, array = found, moved
    return layout, array


@pytest.mark.parametrize("seed", range(200))
def test_slices_and_reshapes_are_numpys(seed: int) -> None:
    rng = random.Random(seed)
    dims = tuple(rng.randint(1, 4) for _ in range(rng.randint(1, 4)))
    layout, array = random_view(rng, dims)
    assert layout.dims == array.shape
    assert elements(layout).tolist() == array.reshape(-1).tolist()
    assert layout.is_dense == (array.size == 0 or bool(np.all(np.diff(array.reshape(-1)) == 1)))
    assert layout.span == (int(array.max() - array.min()) + 1 if array.size else 0)


@pytest.mark.parametrize("seed", range(200))
def test_overlap_is_a_common_element(seed: int) -> None:
    rng = random.Random(seed)
    dims = tuple(rng.randint(1, 5) for _ in range(rng.randint(1, 4)))
    (a, one), (b, other) = random_view(rng, dims), random_view(rng, dims)
    assert overlap(a, b) == bool(np.intersect1d(one, other).size)


def test_slices_of_large_batches_are_told_apart_at_once() -> None:
    root = dense((1 << 20, 64, 56, 56))
    parts = [sliced(root, 1, k, k + 16) for k in range(0, 64, 16)]
    assert [overlap(parts[1], part) for part in parts] == [False, True, False, False]
    assert overlap(sliced(parts[0], 2, 0, 5), parts[0])
    assert not overlap(sliced(parts[0], 2, 0, 5), sliced(root, 2, 5, 9))
