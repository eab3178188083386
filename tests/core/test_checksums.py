"""CRC-32 by products and by tables, of memory and of files: the same as zlib's."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc import _core
from graphc.errors import GraphError

NOISE = np.random.default_rng(0).bytes(300_000)


@given(st.binary(max_size=300))
def test_of_bytes(data: bytes) -> None:
    assert _core.crc32(data) == zlib.crc32(data)


@pytest.mark.parametrize("isa", ["portable", "avx512"])
def test_at_every_length_and_start(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_ISA", isa)
    view = memoryview(NOISE)
    for start in (0, 1, 7, 16):
        for size in (*range(0, 300), 4096, 65_536, 299_000):
            data = view[start : start + size]
            assert _core.crc32(data) == zlib.crc32(data), (start, size)


def test_of_a_piece_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(NOISE * 3)  # over several pieces
    with path.open("rb") as file:
        handle = file.fileno()
        for offset, size in ((0, 900_000), (5, 700_001), (899_999, 1), (3, 0)):
            data = (NOISE * 3)[offset : offset + size]
            assert _core.crc32_of_file(handle, offset, size) == zlib.crc32(data)
        with pytest.raises(GraphError, match=r"GC-A001.*cut short"):
            _core.crc32_of_file(handle, 0, 900_001)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(GraphError, match=r"GC-F001.*directory"):
            _core.crc32_of_file(handle, 0, 1)
    finally:
        os.close(handle)


def test_memory_that_is_no_row_of_bytes() -> None:
    for wrong in (np.zeros((2, 2), np.uint8), np.zeros(2), np.zeros(8, np.uint8)[::2]):
        with pytest.raises(GraphError, match="GC-R001"):
            _core.crc32(wrong)  # type: ignore[arg-type]
        with pytest.raises(GraphError, match="GC-R001"):
            _core.Pages.over(wrong)  # type: ignore[arg-type]
