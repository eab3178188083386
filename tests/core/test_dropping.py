"""Pages of a mapped file that a step was the last to read go back to the system; written ones do
not."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from mappings import kib_of, needs_smaps

from graphc import _core
from graphc.errors import GraphError

SIZE = 1 << 20
ROW = ("f32", (16,), None)


def _mapped(path: Path) -> tuple[_core.Pages, np.ndarray]:
    path.write_bytes(np.arange(SIZE // 4, dtype=np.float32).tobytes())
    with path.open("rb") as file:
        memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return _core.Pages.over(memory), np.frombuffer(memory, np.float32)


def _session(pages: _core.Pages, spent: tuple[int, int, int]) -> _core.Session:
    """One step, which copies the first row of the mapping."""
    step = _core.Step(
        name="copy",
        symbol="copy",
        reads=[ROW],
        writes=[ROW],
        attrs={},
        read_places=[(0, 0, 64)],
        write_places=[(1, 0, 64)],
        workspace=(0, 0, 0),
        poison_before=[],
        poison_after=[],
        spent=[spent],
    )
    return _core.Session([pages, _core.Pages(64)], [[step]], 1)


@pytest.mark.parametrize("drop", [False, True])
def test_only_when_told(tmp_path: Path, drop: bool) -> None:
    needs_smaps()
    pages, values = _mapped(tmp_path / "f")
    values.sum()
    before = kib_of(tmp_path / "f", "Rss")
    _session(pages, (0, 0, SIZE)).run(0, print, drop=drop)
    assert before == SIZE // 1024
    assert kib_of(tmp_path / "f", "Rss") == (0 if drop else before)


def test_what_was_written_stays(tmp_path: Path) -> None:
    needs_smaps()
    pages, values = _mapped(tmp_path / "f")
    values.sum()
    expected = values.copy()
    for at in (0, 5000, SIZE // 4 - 1):  # each on a page of its own
        values[at] = expected[at] = -1
    _session(pages, (0, 0, SIZE)).run(0, print, drop=True)
    assert kib_of(tmp_path / "f", "Rss") == kib_of(tmp_path / "f", "Private_Dirty") == 12
    np.testing.assert_array_equal(values, expected)


def test_a_range_and_what_a_fault_brings_with_it(tmp_path: Path) -> None:
    needs_smaps()
    pages, values = _mapped(tmp_path / "f")
    values.sum()
    _session(pages, (0, 200_000, 100_000)).run(0, print, drop=True)
    assert SIZE // 1024 - 100 - 2 * 64 <= kib_of(tmp_path / "f", "Rss") <= SIZE // 1024 - 96
    assert values.sum(dtype=np.float64) == (SIZE // 4) * (SIZE // 4 - 1) / 2


def test_memory_without_a_file_is_left_alone() -> None:
    pages = _core.Pages(SIZE)
    values = np.frombuffer(pages, np.float32)
    values[:] = 3
    _session(pages, (0, 0, SIZE)).run(0, print, drop=True)
    assert (values == 3).all()


def test_places_outside_are_refused(tmp_path: Path) -> None:
    pages, _ = _mapped(tmp_path / "f")
    for spent in ((0, 4, SIZE), (2, 0, 4), (0, SIZE + 4, 0)):
        with pytest.raises(GraphError, match="GC-A001"):
            _session(pages, spent)


def test_memory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(100))
    with (tmp_path / "f").open("rb") as file:
        memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    with pytest.raises(GraphError, match="GC-R001"):
        _core.Pages.over(memory)
