"""Elementary functions of the C++ core: errors in units in the last place, the same bits from every
instruction set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc import _core
from graphc.errors import GraphError
from graphc.ops._program import OPCODES

ISAS = ("portable", "avx2", "avx512")
FUNCTIONS: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "exp": (np.exp, 1.0),
    "expm1": (np.expm1, 1.8),
    "log": (np.log, 0.8),
    "log1p": (np.log1p, 1.8),
    "tanh": (np.tanh, 2.5),
    "sqrt": (np.sqrt, 0.5),
}


def _all_kinds(count: int) -> np.ndarray:
    """Floats spread evenly over all bit patterns, and the special ones."""
    bits = np.linspace(0, 2**32 - 1, count).astype(np.uint64).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        spread = bits.view(np.float32)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, -1.0, 1.0, 88.7228, -103.9]
    near = np.linspace(-20, 20, 50001)
    return np.concatenate([spread, np.array(special, np.float32), near.astype(np.float32)])


def _run(operation: str, *sources: np.ndarray) -> np.ndarray:
    size = sources[0].size
    code = (OPCODES[operation], -1, *range(len(sources)))
    told = {"code": code, "constants": (), "starts": (-1,) * len(sources)}
    spec = ("f32", (size,), None)
    y = np.zeros(size, np.float32)
    _core.make_kernel("expr", [spec] * len(sources), [spec], told).run(list(sources), [y])
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_in_units_in_the_last_place(name: str) -> None:
    function, bound = FUNCTIONS[name]
    x = _all_kinds(300_001)
    y = _run(name, x)
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.float64))
        target = exact.astype(np.float32)
    special = ~np.isfinite(target) | (target == 0)
    assert np.array_equal(y[special], target[special], equal_nan=True)
    assert np.array_equal(np.signbit(y[target == 0]), np.signbit(target[target == 0]))
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(target[~special])).astype(np.float64)
    error = np.abs(y[~special] - exact[~special]) / unit
    assert error.max() <= bound, x[~special][error.argmax()]


@pytest.mark.parametrize("name", OPCODES)
def test_instruction_sets_agree_bit_by_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = _all_kinds(40_001)
    rng = np.random.default_rng(0)
    count = {"pow": 2, "muladd": 3}.get(name, 1 if OPCODES[name] < OPCODES["+"] else 2)
    count = 4 if name in ("<", "<=", "==") else count
    sources = [x, *(rng.permutation(x) for _ in range(count - 1))]
    made = []
    for isa in ISAS:
        monkeypatch.setenv("GRAPHC_ISA", isa)
        made.append(_run(name, *sources))
    for other in made[1:]:
        same = made[0].view(np.uint32) == other.view(np.uint32)
        assert (same | (np.isnan(made[0]) & np.isnan(other))).all()


def test_relations_and_extremes_treat_nan_as_cpp_does() -> None:
    values = np.array([np.nan, 0.0, -0.0, 1.0, np.inf, -np.inf, 2.0], np.float32)
    a, b = (g.reshape(-1).copy() for g in np.meshgrid(values, values))
    yes, no = np.full_like(a, 1), np.full_like(a, 0)
    with np.errstate(invalid="ignore"):
        for name, relation in (("<", np.less), ("<=", np.less_equal), ("==", np.equal)):
            assert np.array_equal(_run(name, a, b, yes, no), relation(a, b).astype(np.float32))
        for name, wanted in (
            ("minimum", np.where(b < a, b, a)),
            ("maximum", np.where(a < b, b, a)),
        ):
            made = _run(name, a, b)
            assert np.array_equal(made, wanted, equal_nan=True)
            assert np.array_equal(np.signbit(made), np.signbit(wanted))


def test_an_unknown_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_ISA", "abacus")
    with pytest.raises(GraphError, match="abacus"):
        _run("exp", np.zeros(3, np.float32))
