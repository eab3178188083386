"""Costs: the shipped table's rates, and a cache of measured times that only honest files fill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphc import _core
from graphc.check.case import all_cases
from graphc.costs import (
    COPIES,
    MEASURED,
    SHIPPED,
    Costs,
    cache_file,
    keep_times,
    known_costs,
    pool_key,
)
from graphc.errors import GraphError


def test_the_slower_of_computing_and_moving_counts() -> None:
    costs = Costs()
    small, basis = costs.microseconds("conv", "", 1_000_000, 1_000)
    assert basis == SHIPPED
    large, _ = costs.microseconds("conv", "", 2_000_000, 1_000)
    moved, _ = costs.microseconds("conv", "", 1_000_000, 10**9)
    assert small < large < moved
    assert Costs(threads=2).microseconds("conv", "", 2_000_000, 1_000)[0] == pytest.approx(small)
    start, _ = costs.microseconds("conv", "", 0, 0)
    assert large - start == pytest.approx(2 * (small - start))


def test_the_table_names_kernels_that_there_are() -> None:
    table = json.loads((Path(_core.__file__).parent / "tables" / "cpu.json").read_text())
    uses = [row for case in all_cases() for row in case.op.kernels_of(case.attrs, case.sig)]
    declared = {row.symbol for row in uses}
    assert set(table["kernels"]) <= declared


def test_copies_to_a_pool_take_what_the_table_says_until_they_are_measured() -> None:
    for is_file in (False, True):
        bandwidth, start_us, basis = Costs().link(is_file)
        assert (basis, 1e9 < bandwidth < 12e9, start_us > 1) == (SHIPPED, True, True)
        few, many = (pool_key(key, is_file) for key in COPIES)
        found = Costs(times={few: 2.0, many: 6.71088e3}).link(is_file)
        assert found == (pytest.approx(1e10, rel=1e-3), 2.0, MEASURED)


def test_measured_times_go_first_and_stay(tmp_path: Path) -> None:
    assert known_costs(2, tmp_path).times == {}
    path = keep_times({"a": 3.5}, 2, tmp_path / "new")
    assert path == cache_file(2, tmp_path / "new")
    keep_times({"b": 4}, 2, tmp_path / "new")
    costs = known_costs(2, tmp_path / "new")
    assert costs.times == {"a": 3.5, "b": 4}
    assert costs.microseconds("conv", "a", 10**9, 0) == (3.5, MEASURED)
    assert costs.microseconds("conv", "c", 10**9, 0)[1] == SHIPPED
    assert known_costs(1, tmp_path / "new").times == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 99, "us": {}}', '{"version": 1, "us": {"a": "b"}}',
             '{"version": 1, "us": {"a": true}}', '{"version": 1, "us": {"a": -1}}',
             '{"version": 1, "us": {"a": NaN}}', '{"version": 1}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_cache_is_refused(tmp_path: Path, text: str) -> None:
    cache_file(1, tmp_path).write_text(text)
    with pytest.raises(GraphError, match=r"GC-A001.*holds no kernel times"):
        known_costs(1, tmp_path)
    with pytest.raises(GraphError, match="GC-A001"):
        keep_times({"a": 1.0}, 1, tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GraphError, match="GC-F002"):
        keep_times({"a": 1.0}, 1, tmp_path / "file" / "cache")
