"""Programs made of scalar expressions: what they compute, and how short they are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest

from graphc.ops._program import OPCODES, Program, encode
from graphc.ops.elementwise import DRAW
from graphc.ops.scalar import (
    FUNCTIONS,
    RELATIONS,
    Apply,
    Cond,
    Const,
    Expr,
    Var,
    equal,
    evaluate,
    exp,
    maximum,
    minimum,
    sigmoid,
    where,
)

NAMES = {number: name for name, number in OPCODES.items()}
X, Y, Z = Var("x"), Var("y"), Var("z")


def sources(name: str) -> int:
    return {"minimum": 2, "maximum": 2, "muladd": 3, "copy": 1, "pow": 2}.get(
        name, 4 if name in RELATIONS else 2 if name in "+-*/" else 1
    )


def listing(program: Program) -> list[str]:
    """The instructions by name."""
    names, at = [], 0
    while at < len(program.code):
        names.append(NAMES[program.code[at]])
        at += 2 + sources(names[-1])
    return names


def run(program: Program, operands: list[np.ndarray], draw: np.ndarray | None = None) -> list:
    """The results, by an interpreter that knows nothing of how programs are made."""
    slots = dict(enumerate([*operands, *map(np.float64, program.constants)]))
    if program.draws:
        slots[len(slots)] = draw
    results: dict[int, np.ndarray] = {}
    at = 0
    with np.errstate(all="ignore"):
        while at < len(program.code):
            name, target = NAMES[program.code[at]], program.code[at + 1]
            count = sources(name)
            args = [slots[slot] for slot in program.code[at + 2 : at + 2 + count]]
            at += 2 + count
            if name in RELATIONS:
                value = np.where(RELATIONS[name](args[0], args[1]), args[2], args[3])
            elif name == "minimum":
                value = np.where(args[1] < args[0], args[1], args[0])
            elif name == "maximum":
                value = np.where(args[0] < args[1], args[1], args[0])
            elif name == "muladd":
                value = args[0] * args[1] + args[2]
            else:
                value = args[0] if name == "copy" else FUNCTIONS[name](*args)
            (results if target < 0 else slots)[-1 - target if target < 0 else target] = value
    return [results[k] for k in range(len(results))]


def encoded(expr: Expr, *operands: str) -> Program:
    return encode({"out": expr}, operands, ["out"])


def test_equal_parts_are_computed_once() -> None:
    one = sigmoid(X)
    program = encoded(one * sigmoid(X) + exp(X) * exp(X), "x")
    assert listing(program).count("tanh") == listing(program).count("exp") == 1


def test_products_join_sums_unless_they_are_needed_elsewhere() -> None:
    assert listing(encoded(X * Y + Z, "x", "y", "z")) == ["muladd"]
    assert listing(encoded(Z + X * Y, "x", "y", "z")) == ["muladd"]
    both = X * Y
    assert listing(encoded((both + Z) * both, "x", "y", "z")) == ["*", "+", "*"]
    program = encode({"p": both, "s": both + Z}, ["x", "y", "z"], ["p", "s"])
    assert listing(program) == ["*", "+", "copy", "copy"]


def test_extremes_and_constants() -> None:
    assert listing(encoded(maximum(X, 0), "x")) == ["maximum"]
    assert listing(encoded(minimum(X, Y), "x", "y")) == ["minimum"]
    assert listing(encoded(where(X > 0, X, 0), "x")) == ["maximum"]
    assert listing(encoded(where(X > 0, X, Y), "x", "y")) == ["<"]
    folded = encoded(X * (Const(2.0) * 3 + exp(Const(0.0))), "x")
    assert (listing(folded), folded.constants) == (["*"], (7.0,))
    assert listing(encoded(where(Const(1.0) < 2, X, Y), "x", "y")) == ["copy"]
    assert encoded(X * 0.0 + X * -0.0, "x").constants == (0.0, -0.0)


def test_registers_are_used_again() -> None:
    total: Expr = X
    for i in range(50):
        total = exp(total * float(i + 1)) - Y
    assert encoded(total, "x", "y").registers <= 2


def test_results_come_last() -> None:
    """An operand may be overwritten by a result: nothing is read after the first is written."""
    outputs = {"y": maximum(X, Z), "mask": where(equal(X, Y), 0, 1), "same": X}
    program = encode(outputs, ["x", "z"], ["y", "mask", "same"])
    assert listing(program)[-3:] == ["copy"] * 3
    slots = [program.code[i] for i in range(len(program.code) - 7, len(program.code), 3)]
    assert min(slots) >= 2
    x, z = np.array([1.0, 5.0]), np.array([2.0, 3.0])
    for made, wanted in zip(run(program, [x, z]), ([2, 5], [1, 0], [1, 5]), strict=True):
        assert made.tolist() == wanted


def test_unasked_outputs_are_not_computed() -> None:
    outputs = {"y": X + Y, "mask": exp(X)}
    assert listing(encode(outputs, ["x", "y"], ["y"])) == ["+"]


def test_a_draw_has_a_slot() -> None:
    program = encode({"y": where(Var(DRAW) >= 0.5, X, 0)}, ["x"], ["y"], DRAW)
    assert program.draws
    (made,) = run(program, [np.array([3.0, 4.0])], np.array([0.25, 0.5]))
    assert made.tolist() == [0, 4]


@pytest.mark.parametrize("constant", [0.4, -0.4, 0.3, 1e-50, 1e39, -1e39, 0.5, np.inf, np.nan])
def test_comparisons_with_constants_are_exact(constant: float) -> None:
    with np.errstate(all="ignore"):
        near = np.float32(constant)
        x = np.array([near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))])
        x = np.concatenate([x, [0.0, -0.0, np.inf, -np.inf, np.nan]]).astype(np.float32)
    pairs = (X, Const(constant)), (Const(constant), X)
    for relation, sides in product(RELATIONS, pairs):
        expr = where(Cond(relation, *sides), 2, 3)
        program = encoded(expr, "x")
        assert all(np.isnan(c) or np.float32(c) == c for c in program.constants)
        (made,) = run(program, [x.astype(np.float64)])
        assert np.array_equal(made, evaluate(expr, {"x": x}))


def grown(rng: np.random.Generator, size: int) -> Expr:
    """A random expression whose constants are float32 numbers."""
    pool: list[Expr] = [X, Y, Z, Const(0.5), Const(-2.0), Const(0.0)]
    functions = [f for f in FUNCTIONS if f not in "+-*/"]
    for _ in range(size):
        a, b, c, d = (pool[i] for i in rng.integers(0, len(pool), 4))
        a = X if isinstance(a, Const) else a  # nothing to fold, which would round
        kind = rng.integers(0, 6)
        if kind == 0:
            name = str(rng.choice(functions))
            pool.append(Apply(name, (a, b) if name == "pow" else (a,)))
        elif kind == 1:
            pool.append(where([a < b, a <= b, a > b, equal(a, b)][rng.integers(0, 4)], c, d))
        elif kind == 2:
            pool.append([maximum, minimum][rng.integers(0, 2)](a, b))
        else:
            pool.append(Apply("+-*/"[rng.integers(0, 4)], (a, b)))
    return pool[-1]


@pytest.mark.parametrize("seed", range(60))
def test_random_expressions_compute_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expr = grown(rng, 25)
    values: Mapping[str, np.ndarray] = {
        name: rng.standard_normal(40).astype(np.float32).astype(np.float64) for name in "xyz"
    }
    program = encoded(expr, "x", "y", "z")
    (made,) = run(program, [values[name] for name in "xyz"])
    assert np.array_equal(made, evaluate(expr, values), equal_nan=True)


def test_unknown_variables_are_named() -> None:
    with pytest.raises(KeyError, match="w"):
        encoded(Var("w"), "x")
