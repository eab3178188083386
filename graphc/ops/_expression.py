"""The tree behind `scalar`: its nodes, their operators and one traversal. Reads nothing."""

from __future__ import annotations

from typing import TypeAlias

from graphc.records import record


class Expr:
    """A real number computed from variables."""

    __slots__ = ()

    def __add__(self, other: Expr | float) -> Expr:
        return Apply("+", (self, lift(other)))

    def __radd__(self, other: float) -> Expr:
        return Apply("+", (lift(other), self))

    def __sub__(self, other: Expr | float) -> Expr:
        return Apply("-", (self, lift(other)))

    def __rsub__(self, other: float) -> Expr:
        return Apply("-", (lift(other), self))

    def __mul__(self, other: Expr | float) -> Expr:
        return Apply("*", (self, lift(other)))

    def __rmul__(self, other: float) -> Expr:
        return Apply("*", (lift(other), self))

    def __truediv__(self, other: Expr | float) -> Expr:
        return Apply("/", (self, lift(other)))

    def __rtruediv__(self, other: float) -> Expr:
        return Apply("/", (lift(other), self))

    def __neg__(self) -> Expr:
        return Apply("neg", (self,))

    def __lt__(self, other: Expr | float) -> Cond:
        return Cond("<", self, lift(other))

    def __le__(self, other: Expr | float) -> Cond:
        return Cond("<=", self, lift(other))

    def __gt__(self, other: Expr | float) -> Cond:
        return Cond(">", self, lift(other))

    def __ge__(self, other: Expr | float) -> Cond:
        return Cond(">=", self, lift(other))


@record(frozen=True, slots=True)
class Var(Expr):
    """An operand, by name."""

    name: str


@record(frozen=True, slots=True)
class Const(Expr):
    value: float


@record(frozen=True, slots=True)
class Apply(Expr):
    """A key of `FUNCTIONS` applied to its arguments."""

    function: str
    args: tuple[Expr, ...]


@record(frozen=True, slots=True)
class Where(Expr):
    """`yes` where `cond` holds, else `no`."""

    cond: Cond
    yes: Expr
    no: Expr


@record(frozen=True, slots=True)
class Cond:
    """A comparison; false if either side is NaN."""

    relation: str
    left: Expr
    right: Expr


Node: TypeAlias = Expr | Cond


def lift(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Const(float(value))


def children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Apply):
        return node.args
    if isinstance(node, Where):
        return (node.cond, node.yes, node.no)
    if isinstance(node, Cond):
        return (node.left, node.right)
    return ()


def postorder(root: Node) -> list[Node]:
    """Every node once, children first."""
    order: list[Node] = []
    entered: set[int] = set()
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif id(node) not in entered:
            entered.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(children(node)))
    return order
