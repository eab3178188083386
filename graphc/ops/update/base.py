"""SolverOp, Update: declarations of what runs between passes of a network, for the solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphc.errors import fail
from graphc.ir.op import Effect, Sig
from graphc.numpy_later import np
from graphc.ops._expr_rows import ALL
from graphc.ops._program import MAX_OPERANDS, MAX_REGISTERS, Program, encode
from graphc.ops.kernel import Kernel
from graphc.ops.scalar import Expr, Var, evaluate
from graphc.ops.spec import F64, Ctx, Forward, OpSpec, Values

TERM = "term"
"""The bottom that is added to a gradient after its decay: what regularizers make of parameters."""


class SolverOp(OpSpec):
    """The declaration of an update node; no layer, and no prototxt layer can have its `type`.

    Bottoms: `step_params`, one number each, and "dw0", "dw1", ...: gradients, or where these are
    summed over passes, params of these names.
    """

    step_params: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Unlike a layer's, its name is not entered in the table of layer types."""


class Update(SolverOp):
    """What is made of a parameter and its gradient, element by element, by scalar expressions.

    `kept`: the params it reads; `changed`: what it writes, new versions of these unless said
    otherwise. "dw0", "dw1", ... are the summands of one gradient, of as many elements as each.
    """

    tops = ()
    effects = frozenset({Effect.STATE})
    kept: ClassVar[tuple[str, ...]] = ()
    changed: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "changed" not in cls.__dict__ and cls.kept:
            cls.changed = cls.kept
        if "kernels" not in cls.__dict__:
            cls.kernels = (expression_row(cls),)

    @classmethod
    def outputs(cls, a: Any, s: Sig) -> dict[str, Expr]:
        """What is made, by role, of operands as they were."""
        raise NotImplementedError

    @classmethod
    def forwards(cls, a: Any, s: Sig) -> tuple[Forward, ...]:
        """One call: numbers, then params, then what is added to the gradient, then summands."""
        terms = [role for role in s.ins if role == TERM]
        reads = (*numbers_of(s), *cls.kept, *terms, *summands(s))
        return (Forward("update", reads, cls.changed, effects=cls.effects),)

    @classmethod
    def reference(cls, a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        shape = v[cls.kept[0]].shape
        env = {r: np.reshape(x, shape) if is_summand(r) else x for r, x in v.items()}
        found = {role: evaluate(expr, env) for role, expr in cls.outputs(a, ctx.sig).items()}
        return {role: np.broadcast_to(x, shape) for role, x in found.items()}


def numbers_of(s: Sig) -> list[str]:
    """Roles of bottoms that are one number each, whatever the shape of the parameter."""
    return [role for role in s.ins if role != TERM and not is_summand(role)]


def is_summand(role: str) -> bool:
    return role.startswith("dw")


def summands(s: Sig) -> list[str]:
    """Roles of the summands of the gradient, which may be sums over passes, kept as parameters."""
    return [role for role in (*s.ins, *s.params) if is_summand(role)]


def total(s: Sig) -> Expr:
    """The sum of the summands. Raises GC-O001 if there are none."""
    first, *others = map(Var, summands(s) or fail("GC-O001", "an update without a gradient"))
    found: Expr = first
    for each in others:
        found = found + each
    return found


def expression_row(op: type[Update]) -> Kernel:
    """The kernel that computes the expressions of an update in one pass over memory."""

    def program_of(a: Any, s: Sig) -> tuple[tuple[str, ...], Program]:
        (call,) = op.forwards(a, s)
        named = {f"new {role}": expr for role, expr in op.outputs(a, s).items()}
        return call.reads or (), encode(named, call.reads or (), [f"new {r}" for r in op.changed])

    def told(a: Any, s: Sig) -> Mapping[str, Any]:
        reads, program = program_of(a, s)
        starts = tuple(0 if role in numbers_of(s) else ALL for role in reads)
        return {"code": program.code, "constants": program.constants, "starts": starts}

    def fits(a: Any, s: Sig) -> bool:
        reads, program = program_of(a, s)
        blocks = len(program.constants) + program.registers + len(numbers_of(s)) + len(op.changed)
        is_small = blocks <= MAX_REGISTERS and len(reads) <= MAX_OPERANDS
        return is_small and all(s[role].shape == s[op.kept[0]].shape for role in summands(s))

    return Kernel("cpu", "update", "expr", attrs=told, when=fits)


__all__ = [
    "TERM",
    "SolverOp",
    "Update",
    "expression_row",
    "is_summand",
    "numbers_of",
    "summands",
    "total",
]
