"""Scalar expressions: one small tree from which numpy, C++ and CUDA bodies are made.

Trees are built with Python's operators (`x * 2 + 1`, `x > 0`) and the functions below; `evaluate`
computes them in float64, `to_c` prints them, `free_variables` says what they read. Nodes may be
shared; every traversal visits a node once and needs no recursion. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from graphc.ops._expression import (
    Apply,
    Cond,
    Const,
    Expr,
    Node,
    Var,
    Where,
    children,
    lift,
    postorder,
)

F64 = npt.NDArray[np.float64]
Real = Literal["float", "double"]

RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "neg": np.negative,
    "abs": np.fabs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "pow": np.power,
}


def absolute(x: Expr) -> Expr:
    return Apply("abs", (x,))


def sqrt(x: Expr) -> Expr:
    return Apply("sqrt", (x,))


def exp(x: Expr) -> Expr:
    return Apply("exp", (x,))


def expm1(x: Expr) -> Expr:
    return Apply("expm1", (x,))


def log(x: Expr) -> Expr:
    return Apply("log", (x,))


def log1p(x: Expr) -> Expr:
    return Apply("log1p", (x,))


def tanh(x: Expr) -> Expr:
    return Apply("tanh", (x,))


def power(base: Expr | float, exponent: Expr | float) -> Expr:
    return Apply("pow", (lift(base), lift(exponent)))


def equal(left: Expr | float, right: Expr | float) -> Cond:
    return Cond("==", lift(left), lift(right))


def where(cond: Cond, yes: Expr | float, no: Expr | float) -> Expr:
    return Where(cond, lift(yes), lift(no))


def minimum(a: Expr | float, b: Expr | float) -> Expr:
    """`b` if b < a, else `a`: C++'s std::min, so a NaN in `a` passes and one in `b` does not."""
    a, b = lift(a), lift(b)
    return Where(b < a, b, a)


def maximum(a: Expr | float, b: Expr | float) -> Expr:
    """`b` if a < b, else `a`: C++'s std::max, so a NaN in `a` passes and one in `b` does not."""
    a, b = lift(a), lift(b)
    return Where(a < b, b, a)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x)) in the form that cannot overflow, tanh(x / 2) / 2 + 1/2."""
    return 0.5 * tanh(0.5 * x) + 0.5


def free_variables(expr: Expr) -> tuple[str, ...]:
    """Names of the variables, in order of first appearance."""
    return tuple(dict.fromkeys(n.name for n in postorder(expr) if isinstance(n, Var)))


def evaluate(expr: Expr, env: Mapping[str, npt.NDArray[Any]]) -> F64:
    """The value in float64, `env` giving the variables; shapes broadcast as in numpy.

    Infinities and NaN arise silently. Raises KeyError for a variable that `env` lacks.
    """
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in postorder(expr):
            args = [values[id(child)] for child in children(node)]
            values[id(node)] = _compute(node, args, env)
    return np.asarray(values[id(expr)], np.float64)


def _compute(node: Node, args: list[Any], env: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(node, Var):
        return np.asarray(env[node.name], np.float64)
    if isinstance(node, Const):
        return np.float64(node.value)
    if isinstance(node, Cond):
        return RELATIONS[node.relation](*args)
    if isinstance(node, Apply):
        return FUNCTIONS[node.function](*args)
    return np.where(*args)


# Binding strength of printed text: a child that binds weaker than its place needs parentheses.
_TERNARY, _COMPARE, _ADD, _MUL, _UNARY, _ATOM = range(6)
_INFIX = {"+": _ADD, "-": _ADD, "*": _MUL, "/": _MUL}
_C_NAMES = {"abs": "fabs"}


def to_c(expr: Expr, real: Real = "float") -> str:
    """The expression in C, C++ or CUDA, over variables of type `real` called as in the tree.

    Operations keep the tree's order, so parentheses are left out only where C associates alike.
    """
    texts: dict[int, tuple[str, int]] = {}
    for node in postorder(expr):
        texts[id(node)] = _print(node, [texts[id(child)] for child in children(node)], real)
    return texts[id(expr)][0]


def _print(node: Node, args: list[tuple[str, int]], real: Real) -> tuple[str, int]:
    def arg(index: int, strength: int) -> str:
        text, own = args[index]
        return text if own >= strength else f"({text})"

    if isinstance(node, Var):
        return node.name, _ATOM
    if isinstance(node, Const):
        text = literal(node.value, real)
        return text, _UNARY if text.startswith("-") else _ATOM
    if isinstance(node, Cond):
        return f"{arg(0, _ADD)} {node.relation} {arg(1, _ADD)}", _COMPARE
    if isinstance(node, Where):
        return f"{arg(0, _COMPARE)} ? {arg(1, _TERNARY)} : {arg(2, _TERNARY)}", _TERNARY
    assert isinstance(node, Apply)
    if node.function == "neg":
        return f"-{arg(0, _ATOM)}", _UNARY  # an atom: "--x" would be a decrement
    if node.function in _INFIX:
        strength = _INFIX[node.function]
        return f"{arg(0, strength)} {node.function} {arg(1, strength + 1)}", strength
    name = _C_NAMES.get(node.function, node.function) + ("f" if real == "float" else "")
    return f"{name}({', '.join(text for text, _ in args)})", _ATOM


def literal(value: float, real: Real = "float") -> str:
    """A C literal of the `real` nearest to `value`, with the fewest digits that give it back.

    Infinity and NaN are quotients of literals, which need no header under any compiler.
    """
    suffix = "f" if real == "float" else ""
    with np.errstate(all="ignore"):
        number = np.float32(value) if real == "float" else np.float64(value)
    if np.isnan(number):
        return f"(0.0{suffix} / 0.0{suffix})"
    if np.isinf(number):
        return f"({'-' if number < 0 else ''}1.0{suffix} / 0.0{suffix})"
    if number == 0 or 1e-4 <= abs(number) < 1e7:
        return np.format_float_positional(number, trim="0") + suffix
    return np.format_float_scientific(number, trim="-") + suffix


__all__ = [
    "FUNCTIONS",
    "RELATIONS",
    "Apply",
    "Cond",
    "Const",
    "Expr",
    "Var",
    "Where",
    "absolute",
    "equal",
    "evaluate",
    "exp",
    "expm1",
    "free_variables",
    "literal",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "power",
    "sigmoid",
    "sqrt",
    "tanh",
    "to_c",
    "where",
]
