"""Ranges hold every value that a layer gives, and expressions equal a variable where they say."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from graphc.check.case import all_cases
from graphc.ops.elementwise import DRAW, Elementwise
from graphc.ops.scalar import Var, absolute, evaluate, log, maximum, minimum, sqrt, where
from graphc.passes._ranges import ANY, Range, evaluated, tops

CASES = [case for case in all_cases() if issubclass(case.op, Elementwise)]
SPANS = [(-3.0, 2.0), (0.0, 4.0), (-2.0, 0.0), (0.5, 0.75), (-1.5, -1.0), (1.0, 1.0)]


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_value_lies_in_its_range(case, span):
    sig, rng = case.sig, np.random.default_rng(0)
    env = {role: rng.uniform(*span, 200) for role in sig.ins}
    env |= {role: rng.normal(size=200) for role in sig.params} | {DRAW: rng.random(200)}
    known = {role: Range(*span, role) for role in sig.ins}
    known |= dict.fromkeys(sig.params, ANY) | {DRAW: Range(0, 1)}
    for role, expr in case.op.outputs(case.attrs, sig).items():
        env[role] = evaluate(expr, env)
        found = known[role] = evaluated(expr, known)
        values = env[role][~np.isnan(env[role])]
        assert (values >= found.low - 1e-12).all() and (values <= found.high + 1e-12).all()
        if found.of:
            np.testing.assert_array_equal(env[role], env[found.of])


X = Var("x")


@pytest.mark.parametrize(
    ("expr", "low", "high", "of"),
    [
        (X + 1, 0.0, 3.0, ""),
        (2 - X, 0.0, 3.0, ""),
        (X * X, -2.0, 4.0, ""),
        (-X, -2.0, 1.0, ""),
        (X * 0, 0.0, 0.0, ""),
        (1 / (X + 3), 0.2, 0.5, ""),
        (1 / X, -math.inf, math.inf, ""),
        (log(X), -math.inf, math.inf, ""),
        (sqrt(X + 2), 1.0, 2.0, ""),
        (absolute(X), 0.0, 2.0, ""),
        (absolute(X - 3), 1.0, 4.0, ""),
        (maximum(X, 0), 0.0, 2.0, ""),
        (maximum(X, -1), -1.0, 2.0, "x"),
        (maximum(-1, X), -1.0, 2.0, "x"),
        (maximum(X, 2), 2.0, 2.0, ""),
        (minimum(X, 2), -1.0, 2.0, "x"),
        (minimum(X, 0), -1.0, 0.0, ""),
        (maximum(-1, minimum(X, 2)), -1.0, 2.0, "x"),
        (where(X > -2, X, 7), -1.0, 2.0, "x"),
        (where(X >= -1, X, 7), -1.0, 2.0, "x"),
        (where(X < -1, 7, X), -1.0, 2.0, "x"),
        (where(X <= 2, X, 7), -1.0, 2.0, "x"),
        (where(X > 0, X, 7), -1.0, 7.0, ""),
        (where(X > 0, X, X), -1.0, 2.0, "x"),
        (absolute(maximum(X, 3)), 3.0, 3.0, ""),
    ],
)
def test_expressions(expr, low, high, of):
    found = evaluated(expr, {"x": Range(-1.0, 2.0, "x")})
    assert (found.low, found.high, found.of) == (low, high, of)


def test_an_unknown_variable_may_be_anything():
    assert evaluated(absolute(Var("y")), {}) == Range(0.0, math.inf)
    assert evaluated(X - X, {"x": ANY}) == ANY


def test_layers_that_declare_no_views_tell_nothing():
    case = next(c for c in all_cases() if c.op.type == "Softmax")
    node = SimpleNamespace(op=case.op, attrs=case.attrs, ins={}, outs={}, sig=lambda: case.sig)
    assert tops(node, {}) == {}
