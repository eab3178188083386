"""Each kernel of the CPU has one on a GPU, or a reason why not; each on a GPU is run by a test."""

from __future__ import annotations

import pytest
from cuda.jobs import SPARSE, all_jobs
from cuda.test_shapes import JOBS

from graphc import _core
from graphc.cuda import elsewhere, symbols, work
from graphc.errors import GraphError

CPU = tuple(_core.kernel_symbols())
REGULARIZERS = {"force", "group_lasso"}
"""Of declarations that only users have: tests/cuda/test_regularizers.py."""


@pytest.mark.parametrize("symbol", CPU)
def test_kernel_is_there_or_a_reason(symbol: str) -> None:
    has_reason = elsewhere.reason(symbol) != elsewhere.NONE
    assert has_reason != (symbol in symbols()), symbol
    if has_reason:
        with pytest.raises(GraphError, match=f"GC-A001: cuda kernel {symbol}: "):
            work(symbol, {}, (), ())


def test_no_kernel_is_of_a_symbol_that_the_cpu_has_not() -> None:
    assert {*symbols()} <= {*CPU} | REGULARIZERS


def test_each_kernel_is_run_beside_its_reference() -> None:
    jobs, refused = all_jobs()
    assert not refused
    run = {job.symbol for job in (*jobs, *JOBS)} | SPARSE | {"clip_factor"} | REGULARIZERS
    assert {*symbols()} == run
