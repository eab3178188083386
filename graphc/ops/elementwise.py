"""Elementwise: the base of layers that compute y[i] from x[i] by one scalar expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.ir.op import Effect, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._expr_rows import DRAW, Body, expr_rows, gradient_rows
from graphc.ops.kernel import Kernel
from graphc.ops.scalar import F64, Expr, Var, evaluate, free_variables
from graphc.ops.spec import Ctx, Forward, Grad, OpSpec, Values, View
from graphc.ops.ties import Algebra, Tie, same


class Elementwise(OpSpec):
    """y[i] = forward(x[i]), dx[i] = backward(dy[i], x[i], y[i]); no type of its own.

    A subclass gives `forward` and `backward`, expressions whose variables are roles; branches on
    attributes are Python branches. Everything else follows from them: what the gradient reads are
    the free variables of `backward`. No sum of products is counted: these layers are bound by
    bandwidth. With more operands than x, override `outputs`, `gradients` and `starts`.
    """

    traits = frozenset({Trait.ELEMENTWISE, Trait.BATCH_SEPARABLE})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "kernels" not in cls.__dict__:
            cls.kernels = expr_rows("forward", cls._body) if cls._is_standard() else ()
        super().__init_subclass__(**kwargs)

    @staticmethod
    def forward(a: Any) -> Expr:
        """y from x. Raises GC-N008 for attributes that the layer does not allow."""
        raise NotImplementedError

    @staticmethod
    def backward(a: Any) -> Expr | None:
        """dx from dy and any of x, y; None: the layer has no gradient."""
        return None

    @classmethod
    def outputs(cls, a: Any, s: Sig) -> dict[str, Expr]:
        """Expressions of tops and aux by role; a later one may use an earlier one's role."""
        return {"y": cls.forward(a)}

    @classmethod
    def gradients(cls, a: Any, s: Sig) -> dict[str, Expr]:
        """Expressions by the role whose gradient they are (summed to its shape, see `starts`)."""
        dx = cls.backward(a)
        return {} if dx is None else {_first(s): dx}

    @staticmethod
    def starts(a: Any, s: Sig) -> dict[str, int]:
        """For each operand that spans only some axes of x (per channel, say): the first of them."""
        return {}

    @classmethod
    def infer(cls, a: Any, s: Sig) -> dict[str, Type]:
        cls.outputs(a, s)  # wrong attributes fail here, before anything runs
        return {"y": s.ins[_first(s)]}

    @classmethod
    def traits_of(cls, a: Any, s: Sig) -> frozenset[Trait]:
        """ELEMENTWISE if every bottom has x's shape; BATCH_SEPARABLE if every bottom, and no
        parameter, has x's batch axis."""
        x, starts = s.ins[_first(s)], cls.starts(a, s)
        missing = set()
        if any(t.shape != x.shape for t in s.ins.values()):
            missing.add(Trait.ELEMENTWISE)
        batched = {r for r in (*s.ins, *starts) if starts.get(r, 0) == 0 and s[r].rank > 0}
        if batched != set(s.ins):
            missing.add(Trait.BATCH_SEPARABLE)
        return cls.traits - missing

    @classmethod
    def forwards(cls, a: Any, s: Sig) -> tuple[Forward, ...]:
        x = s.ins[_first(s)]
        found = [name for e in cls.outputs(a, s).values() for name in free_variables(e)]
        reads = tuple(role for role in (*s.ins, *s.params) if role in found)
        over = tuple(("y", r) for r in reads if r in s.ins and s.ins[r].shape == x.shape)
        effects = frozenset({Effect.RNG} if DRAW in found else ())
        return (Forward(reads=reads, over=over, effects=effects),)

    @classmethod
    def views(cls, a: Any, s: Sig) -> dict[str, View]:
        y = cls.outputs(a, s)["y"]
        return {"y": View(y.name)} if isinstance(y, Var) else {}

    @classmethod
    def grads(cls, a: Any, s: Sig) -> tuple[Grad, ...]:
        parts = []
        for role, expr in cls.gradients(a, s).items():
            reads = tuple(name for name in free_variables(expr) if name != DRAW)
            full = role in s.ins and s.ins[role].shape == s.ins[_first(s)].shape
            view = View("dy") if full and expr == Var("dy") else None
            over = "dy" if full and view is None and "dy" in reads else None
            parts.append(Grad(role, reads, over, view, accumulate=role not in s.ins))
        return tuple(parts)

    @classmethod
    def ties(cls, a: Any, s: Sig) -> Algebra:
        first, starts = _first(s), cls.starts(a, s)
        whole = range(1, s.ins[first].rank)
        aux = [role for role in cls.outputs(a, s) if role != "y"]
        full = [role for role in (*s.ins, *aux) if role not in starts]
        algebra: Algebra = tuple(tie for role in full for tie in same(role, "y", *whole))
        for role, start in starts.items():
            for axis in range(start, start + s[role].rank):
                if axis > 0:
                    algebra += (Tie(f"{first}.{axis}", f"{role}.{axis - start}"),)
        return algebra

    @classmethod
    def reference(cls, a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        first = _first(ctx.sig)
        shape = v[first].shape if first in v else ctx.sig[first].shape
        env = cls._operands(a, v, ctx, shape)
        tops: dict[str, F64] = {}
        for role, expr in cls.outputs(a, ctx.sig).items():
            tops[role] = env[role] = _fill(expr, env, shape, ctx)
        return tops

    @classmethod
    def vjp(cls, a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        role = part.removeprefix("d")
        shape = v["dy"].shape if "dy" in v else ctx.sig[_first(ctx.sig)].shape
        env = cls._operands(a, v, ctx, shape)
        value = _fill(cls.gradients(a, ctx.sig)[role], env, shape, ctx)
        start = cls.starts(a, ctx.sig).get(role)
        if start is None:
            return value
        kept = range(start, start + ctx.sig[role].rank)
        with np.errstate(all="ignore"):
            return np.asarray(value.sum(tuple(i for i in range(len(shape)) if i not in kept)))

    @classmethod
    def _is_standard(cls) -> bool:
        """Is the reference what the expressions say?"""
        return cls.reference.__func__ is Elementwise.reference.__func__  # type: ignore[attr-defined]

    @classmethod
    def kernels_of(cls, a: Any, s: Sig) -> tuple[Kernel, ...]:
        """The rows of `kernels`, and of gradients unless a subclass has its own idea of them."""
        if cls.vjp.__func__ is not Elementwise.vjp.__func__:  # type: ignore[attr-defined]
            return cls.kernels
        found = list(cls.kernels)
        for part in cls.grads(a, s):
            result = {f"d{part.out}": cls.gradients(a, s)[part.out]}
            body = Body(result, part.reads, tuple(result), cls.starts(a, s), s)
            found += gradient_rows(part, body) if part.view is None else ()
        return tuple(found)

    @classmethod
    def _body(cls, a: Any, s: Sig) -> Body:
        """Of the forward: its results are the tops and those aux values that there are."""
        outputs = cls.outputs(a, s)
        results = tuple(role for role in s.outs if role in outputs)
        return Body(outputs, cls.forwards(a, s)[0].reads or (), results, cls.starts(a, s), s)

    @classmethod
    def _operands(cls, a: Any, v: Values, ctx: Ctx, shape: tuple[int, ...]) -> dict[str, F64]:
        """The values, those with a start axis reshaped so that they broadcast against x."""
        env = dict(v)
        for role, start in cls.starts(a, ctx.sig).items():
            if role in env:
                dims = env[role].shape
                tail = len(shape) - start - len(dims)
                env[role] = env[role].reshape((1,) * start + dims + (1,) * tail)
        return env


def _first(s: Sig) -> str:
    """The role of the bottom that has the top's shape."""
    return next(iter(s.ins))


def _fill(expr: Expr, env: Mapping[str, F64], shape: tuple[int, ...], ctx: Ctx) -> F64:
    """The expression's value as a new array of `shape`."""
    if DRAW in free_variables(expr):
        env = {**env, DRAW: ctx.uniform(shape, 0)}
    out = np.empty(shape, np.float64)
    out[...] = evaluate(expr, env)
    return out


__all__ = ["DRAW", "Elementwise"]
