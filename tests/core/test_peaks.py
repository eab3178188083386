"""What the machine can do at most: the loops do what they count, and nothing less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc import _core
from graphc.errors import GraphError
from graphc.runtime.peaks import MIB, Peaks, _largest_cache, _stream_bytes, measure_peaks

ISAS = ("portable", "avx2", "avx512")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each set of instructions this machine has."""
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    if _core.isa() != request.param:
        pytest.skip(f"this machine has no {request.param}")
    return request.param


def run(**words: float) -> tuple[float, int, float]:
    told = {"start": 0.0, "factor": 1.0, "addend": 1.0, "steps": 1, "threads": 1}
    return _core.multiply_add(**(told | words))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("steps", [0, 1, 7, 4096])
def test_each_multiply_add_adds_one(isa: str, steps: int, threads: int) -> None:
    """With factor 1 and addend 1 the lanes' sum is the number of multiply-adds."""
    seconds, count, total = run(steps=steps, threads=threads)
    assert total == count
    lanes = run()[1]
    assert lanes == {"portable": 48, "avx2": 96, "avx512": 192}[isa]
    assert count == lanes * steps * threads
    assert seconds >= 0


def test_the_product_is_part_of_it(isa: str) -> None:
    """x_k = x_0 f^k + a (f^k - 1) / (f - 1), for numbers that float32 has exactly."""
    for start, factor, addend, steps in ((3, -1, 5, 7), (1, 2, 0, 20), (0.5, 2, 3, 10)):
        power = factor**steps
        wanted = start * power + addend * (power - 1) / (factor - 1)
        _, count, total = run(start=start, factor=factor, addend=addend, steps=steps)
        assert total == wanted * (count // steps)


def test_the_product_is_rounded_only_where_nothing_fuses(isa: str) -> None:
    one = np.float32(1 + 2**-12)
    _, lanes, total = run(start=one, factor=one, addend=-(1 + 2**-11))
    assert total / lanes == (0 if isa == "portable" else 2**-24)


@pytest.mark.parametrize("words", [{"threads": 0}, {"threads": 1025}, {"steps": -1}])
def test_impossible_orders(words: dict[str, int]) -> None:
    with pytest.raises(GraphError, match="GC-R004"):
        run(**words)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("words", [1, 7, 1000, 1001])
def test_a_stream_reads_and_copies_all_of_it(words: int, threads: int) -> None:
    stream = _core.Stream(words, threads)
    assert stream.size == words
    cut = words // 3
    for _ in range(2):
        assert stream.read(0, words)[1] == words * (words - 1) // 2
        parts = [stream.read(first, count)[1] for first, count in ((0, cut), (cut, words - cut))]
        assert parts[0] == cut * (cut - 1) // 2 and sum(parts) == words * (words - 1) // 2
        assert min(stream.copy(0, cut), stream.copy(cut, words - cut)) >= 0
        stream.swap()  # what is read next is the copy


def test_a_copy_is_of_what_was_asked_for() -> None:
    stream = _core.Stream(100, 2)
    untouched = 2**64 - 1
    stream.copy(10, 20)
    stream.swap()
    assert stream.read(10, 20)[1] == sum(range(10, 30))
    assert stream.read(0, 10)[1] == 10 * untouched % 2**64
    assert stream.read(30, 70)[1] == 70 * untouched % 2**64


def test_ranges_are_cut_short() -> None:
    stream = _core.Stream(10, 1)
    assert stream.read(8, 100)[1] == 8 + 9
    assert stream.read(11, 5)[1] == 0
    assert stream.read(2, 2**64 - 1)[1] == sum(range(2, 10))
    assert stream.copy(50, 50) >= 0


def test_impossible_streams() -> None:
    for words, threads in ((0, 1), (8, 0), (8, 1025), (2**60 + 1, 1)):
        with pytest.raises(GraphError, match="GC-R004"):
            _core.Stream(words, threads)
    with pytest.raises(GraphError, match="GC-M002"):
        _core.Stream(2**58, 1)


def test_measured_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_ISA", "portable")
    peaks = measure_peaks(2, stream_bytes=MIB)
    assert (peaks.isa, peaks.threads, peaks.stream_bytes) == ("portable", 2, MIB)
    assert min(peaks.flops, peaks.read, peaks.copy) > 0
    assert peaks.bandwidth == max(peaks.read, peaks.copy)
    with pytest.raises(GraphError, match="GC-R004"):
        measure_peaks(0)


def test_the_roofline_is_the_higher_of_two_roofs() -> None:
    peaks = Peaks("avx2", 1, flops=2e9, read=1e9, copy=4e9, stream_bytes=MIB)
    assert peaks.microseconds(macs=1000, nbytes=0) == pytest.approx(1.0)
    assert peaks.microseconds(macs=0, nbytes=4000) == pytest.approx(1.0)
    assert peaks.microseconds(macs=1000, nbytes=40_000) == pytest.approx(10.0)


def test_a_stream_is_larger_than_the_largest_cache(tmp_path: Path) -> None:
    for index, text in enumerate(("48K\n", "2048K\n", "3M\n", "nonsense\n", "")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(text)
    assert _largest_cache(tmp_path) == 3 * MIB
    assert _largest_cache(tmp_path / "nowhere") == 0
    assert _stream_bytes() >= MIB
