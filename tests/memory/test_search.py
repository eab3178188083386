"""The search for the largest batch, on peaks of known shape."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.errors import GraphError
from graphc.memory import Search
from graphc.memory.search import MAX_BATCH, MAX_PLANS, allowed_plans


def search(peak: Callable[[int], int | None], memory: int, allowed: int = MAX_PLANS) -> Search:
    return Search(peak, memory, allowed)


@given(
    st.integers(0, 10**9),
    st.integers(1, 10**7),
    st.integers(0, 10**7),
    st.integers(1, 1_000),
    st.integers(1, 10**11),
)
def test_found_as_by_trying_all(fixed: int, each: int, late: int, knee: int, memory: int) -> None:
    """Peaks that grow faster from a knee on, in steps of 64 bytes."""

    def peak(batch: int) -> int:
        return (fixed + each * batch + late * max(0, batch - knee)) // 64 * 64

    if peak(1) > memory:
        with pytest.raises(GraphError, match="GC-M001"):
            search(peak, memory).largest()
        return
    found = search(peak, memory).largest()
    assert found.peak_bytes == peak(found.batch) <= memory
    assert found.batch == MAX_BATCH or found.next_bytes == peak(found.batch + 1) > memory


@pytest.mark.parametrize("fixed", [0, 10**6])
def test_a_line_takes_few_plans(fixed: int) -> None:
    found = search(lambda n: fixed + 1_000 * n, 50_000_000).largest()
    assert found.batch == (50_000_000 - fixed) // 1_000
    assert found.plans <= 4


def test_each_batch_is_planned_once() -> None:
    asked: list[int] = []

    def peak(batch: int) -> int:
        asked.append(batch)
        return batch * batch

    both = search(peak, 10_000)
    rows = both.powers()
    found = both.largest()
    assert (found.batch, found.next_bytes) == (100, 101**2)
    assert len(asked) == len(set(asked)) == found.plans
    assert [row.batch for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert [row.fits for row in rows] == [True] * 7 + [False]


def test_peaks_that_do_not_grow_end_at_the_largest_batch_there_is() -> None:
    found = search(lambda n: 64, 64).largest()
    assert (found.batch, found.next_bytes) == (MAX_BATCH, None)
    assert len(search(lambda n: 64, 64).powers()) == 31


def test_beyond_the_limits_is_too_large() -> None:
    found = search(lambda n: 10 * n if n < 77 else None, 10**9).largest()
    assert (found.batch, found.next_bytes) == (76, None)
    with pytest.raises(GraphError, match="batch 1 is too large"):
        search(lambda n: None, 10**9).largest()


def test_few_plans_give_a_clear_error() -> None:
    with pytest.raises(GraphError, match="GC-L001") as error:
        search(lambda n: n * n * n, 10**9, allowed=4).largest()
    assert "after 4 plans the largest batch is known to be at least" in error.value.message
    with pytest.raises(GraphError, match="GC-L001"):
        search(lambda n: n, 10**9, allowed=4).powers()
    assert allowed_plans(100_000) < allowed_plans(20_000) < allowed_plans(10) == MAX_PLANS
    assert allowed_plans(10**9) == 4
