"""contract equals einsum and counts what it multiplies."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.ops._contract import contract, counting

EXTENTS = dict(zip("abcdef", (2, 3, 4, 5, 3, 2), strict=True))
SPECS = (
    "ab,bc->ac",
    "ab,cb->ca",
    "abc,bcd->bad",
    "abc,abc->c",
    "abc,abc->abc",
    "ab,c->cab",
    "abcd,befd->aefb",
    "a,a->",
    "abc,c->ab",
    "ab,cd->cb",
    "ab,->ba",
)


@pytest.mark.parametrize("spec", SPECS)
def test_equals_einsum(spec: str) -> None:
    rng = np.random.default_rng(0)
    left, right = spec.split("->")[0].split(",")
    x = rng.standard_normal([EXTENTS[c] for c in left])
    y = rng.standard_normal([EXTENTS[c] for c in right])
    with counting() as counter:
        found = contract(spec, x, y)
    assert np.allclose(found, np.einsum(spec, x, y), rtol=1e-12, atol=1e-12)
    assert found.shape == np.einsum(spec, x, y).shape
    assert counter[0] == np.prod([EXTENTS[c] for c in set(left + right)])


def test_views_are_taken_and_left_alone() -> None:
    x = np.arange(24.0).reshape(4, 6)[::-2, ::3]
    y = np.arange(10.0).reshape(2, 5).T
    x.flags.writeable = y.flags.writeable = False
    assert np.array_equal(contract("ab,cb->ac", x, y), np.einsum("ab,cb->ac", x, y))


def test_empty_axes_give_zeros_or_nothing() -> None:
    assert contract("nk,ok->no", np.zeros((0, 3)), np.zeros((4, 3))).shape == (0, 4)
    assert not contract("nk,ok->no", np.ones((2, 0)), np.ones((4, 0))).any()


def test_infinities_are_quiet() -> None:
    x = np.array([[np.inf, -np.inf, np.nan]])
    assert np.isnan(contract("nk,ok->no", x, np.ones((1, 3)))).all()


def test_counting_is_off_outside_and_nests() -> None:
    one = np.ones((2, 2))
    with counting() as outer:
        contract("ab,bc->ac", one, one)
        with counting() as inner:
            contract("ab,bc->ac", one, one)
    contract("ab,bc->ac", one, one)
    assert (outer[0], inner[0]) == (8, 8)
