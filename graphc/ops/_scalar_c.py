"""to_c, to_c_block: print scalar expressions as C, C++ or CUDA."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from graphc.numpy_later import np
from graphc.ops._expression import Apply, Cond, Const, Expr, Node, Var, Where, children, postorder

Real = Literal["float", "double"]

# Binding strength of printed text: a child that binds weaker than its place needs parentheses.
_TERNARY, _COMPARE, _ADD, _MUL, _UNARY, _ATOM = range(6)
_INFIX = {"+": _ADD, "-": _ADD, "*": _MUL, "/": _MUL}
_C_NAMES = {"abs": "fabs"}


def to_c(expr: Expr, real: Real = "float") -> str:
    """The expression in C, C++ or CUDA, over variables of type `real` called as in the tree.

    Operations keep the tree's order, so parentheses are left out only where C associates alike.
    A shared node is printed at every use, which can make long text of a small tree.
    """
    return _texts([expr], real, {})[id(expr)][0]


def to_c_block(results: Mapping[str, Expr], real: Real = "float") -> str:
    """C statements that define one constant per result, in order; shared parts get names.

    A later result may use an earlier one as a variable. Names of shared parts are t0, t1, ...
    """
    nodes = {id(node): node for result in results.values() for node in postorder(result)}
    names = _names_of_shared(list(nodes.values()))
    texts = _texts(list(results.values()), real, names)
    written: set[int] = set()
    lines: list[str] = []
    for role, result in results.items():
        for node in map(id, postorder(result)):
            if node in names and node not in written:
                written.add(node)
                lines.append(f"const {real} {names[node]} = {texts[~node][0]};\n")
        lines.append(f"const {real} {role} = {texts[id(result)][0]};\n")
    return "".join(lines)


def _names_of_shared(nodes: list[Node]) -> dict[int, str]:
    """A name by id for every operation that several nodes use."""
    uses = Counter(id(child) for node in nodes for child in children(node))
    shared = [n for n in nodes if isinstance(n, (Apply, Where)) and uses[id(n)] > 1]
    return {id(node): f"t{index}" for index, node in enumerate(shared)}


def _texts(roots: list[Expr], real: Real, names: Mapping[int, str]) -> dict[int, tuple[str, int]]:
    """Text and binding strength of every node by id; of a named one its name, its text at ~id."""
    texts: dict[int, tuple[str, int]] = {}
    for root in roots:
        for node in postorder(root):
            if id(node) not in texts:
                own = _print(node, [texts[id(child)] for child in children(node)], real)
                texts[~id(node)] = own
                texts[id(node)] = (names[id(node)], _ATOM) if id(node) in names else own
    return texts


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
