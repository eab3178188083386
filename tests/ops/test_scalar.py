"""Scalar expressions: values, free variables, and the text of the C they print."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from graphc.ops import scalar
from graphc.ops.scalar import (
    Const,
    Expr,
    Var,
    evaluate,
    free_variables,
    literal,
    to_c,
    to_c_block,
    where,
)

A, B, C = Var("a"), Var("b"), Var("c")
NEGATIVE = -A


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (A + B - C, "a + b - c"),
        (A - (B - C), "a - (b - c)"),
        (A + (B + C), "a + (b + c)"),
        (A * (B / C), "a * (b / c)"),
        (A / B / C, "a / b / c"),
        ((A + B) * C, "(a + b) * c"),
        (A + B * C, "a + b * c"),
        (-A * B, "-a * b"),
        (-(A * B), "-(a * b)"),
        (-NEGATIVE, "-(-a)"),
        (A - NEGATIVE, "a - -a"),
        (-Const(-2.0), "-(-2.0f)"),
        (A - -2.0, "a - -2.0f"),
        (1 / (2 - A), "1.0f / (2.0f - a)"),
        (where(A > 0, B, 1), "a > 0.0f ? b : 1.0f"),
        (where(A + B <= C, B, 1) + 1, "(a + b <= c ? b : 1.0f) + 1.0f"),
        (where(where(A < B, A, B) < C, A, B), "(a < b ? a : b) < c ? a : b"),
        (where(scalar.equal(A, 3), A, where(B >= C, B, C)), "a == 3.0f ? a : b >= c ? b : c"),
        (scalar.minimum(A, B), "b < a ? b : a"),
        (scalar.maximum(A, 0.5), "a < 0.5f ? 0.5f : a"),
        (scalar.exp(A + B), "expf(a + b)"),
        (scalar.power(A, 2), "powf(a, 2.0f)"),
        (scalar.absolute(A) * scalar.sqrt(B), "fabsf(a) * sqrtf(b)"),
        (scalar.log1p(scalar.expm1(A)), "log1pf(expm1f(a))"),
    ],
)
def test_c_text_has_the_tree_s_order_and_no_spare_parentheses(expr: Expr, expected: str) -> None:
    assert to_c(expr) == expected


def test_double_precision_text() -> None:
    assert to_c(scalar.tanh(0.1 * A), "double") == "tanh(0.1 * a)"
    assert literal(1 / 3, "double") == "0.3333333333333333"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1f"),
        (1.0, "1.0f"),
        (-0.0, "-0.0f"),
        (16777217.0, "1.6777216e+07f"),
        (1e-10, "1e-10f"),
        (1e300, "(1.0f / 0.0f)"),
        (float("-inf"), "(-1.0f / 0.0f)"),
        (float("nan"), "(0.0f / 0.0f)"),
    ],
)
def test_literals(value: float, text: str) -> None:
    assert literal(value) == text


def test_values() -> None:
    env = {"a": np.array([-2.0, 0.0, 3.0]), "b": np.array([[1.0], [2.0]])}
    found = evaluate(where(A > 0, A / B, -scalar.absolute(A) + 0.5), env)
    expected = [[-1.5, 0.5, 3.0], [-1.5, 0.5, 1.5]]
    assert found.dtype == np.float64
    assert found.tolist() == expected
    assert evaluate(2 - (1 + A), {"a": np.array([1], np.uint8)}).tolist() == [0.0]


def test_least_and_greatest_treat_nan_as_cpp_does() -> None:
    nan, one = np.array(np.nan), np.array(1.0)
    for choose in (scalar.minimum, scalar.maximum):
        assert np.isnan(evaluate(choose(A, B), {"a": nan, "b": one}))
        assert evaluate(choose(A, B), {"a": one, "b": nan}) == 1


def test_singular_values_are_silent() -> None:
    found = evaluate(scalar.log(A) + 1 / B, {"a": np.array([0.0, -1.0]), "b": np.zeros(2)})
    assert np.isnan(found).tolist() == [True, True]


def test_free_variables_come_once_in_order() -> None:
    assert free_variables(B * where(A > C, A, B)) == ("b", "a", "c")
    assert free_variables(Const(1.0)) == ()


def test_expressions_of_any_depth_and_shared_parts() -> None:
    deep = reduce(lambda sum_, _: sum_ + A, range(20_000), A)
    assert evaluate(deep, {"a": np.array(1.0)}) == 20_001
    assert to_c(deep).count("+") == 20_000
    doubled: Expr = A
    for _ in range(60):
        doubled = doubled + doubled
    assert evaluate(doubled, {"a": np.array(1.0)}) == 2.0**60
    assert free_variables(doubled) == ("a",)


def test_a_block_names_what_is_shared_and_lets_results_follow_each_other() -> None:
    gate = scalar.exp(A)
    block = to_c_block({"y": gate + gate * B, "z": Var("y") - gate, "w": B})
    assert block.splitlines() == [
        "const float t0 = expf(a);",
        "const float y = t0 + t0 * b;",
        "const float z = y - t0;",
        "const float w = b;",
    ]


def test_a_block_stays_small_where_one_expression_would_explode() -> None:
    doubled: Expr = A
    for _ in range(60):
        doubled = scalar.maximum(doubled, B) + doubled
    assert len(to_c_block({"y": doubled})) < 10_000
