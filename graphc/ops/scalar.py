"""Scalar expressions: one small tree from which numpy, C++ and CUDA bodies are made.

Trees are built with Python's operators (`x * 2 + 1`, `x > 0`) and the functions below; `evaluate`
computes them in float64, `to_c` and `to_c_block` print them, `free_variables` says what they read.
Nodes may be shared; every traversal visits a node once and needs no recursion. Reads nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from graphc.numpy_later import np, npt
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
from graphc.ops._scalar_c import literal, to_c, to_c_block

F64: TypeAlias = "npt.NDArray[np.float64]"


def _ufunc(name: str) -> Callable[..., Any]:
    """A function of numpy's by its name, which is looked up when it is called."""
    return lambda *args: getattr(np, name)(*args)


RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": _ufunc("add"),
    "-": _ufunc("subtract"),
    "*": _ufunc("multiply"),
    "/": _ufunc("divide"),
    "neg": _ufunc("negative"),
    "abs": _ufunc("fabs"),
    **{name: _ufunc(name) for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh")},
    "pow": _ufunc("power"),
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
    "to_c_block",
    "where",
]
