"""Call one layer by hand: bottoms in, tops and gradients out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.errors import GraphError
from graphc.ir.op import Env, Sig
from graphc.ir.types import Type
from graphc.ops.spec import F64, Ctx, OpSpec


def signature(
    op: type[OpSpec],
    attrs: Any,
    *shapes: tuple[int, ...],
    tops: int = 1,
    base: Path | None = None,
) -> Sig:
    """The types of a layer's bottoms, tops, aux values and parameters, as inference gives them."""
    ins, outs = op.roles(attrs, len(shapes), tops)
    types = {role: Type(shape) for role, shape in zip(ins, shapes, strict=True)}
    sig = Sig(types, outs, env=Env(base), name="layer")
    found = op.infer(attrs, sig)
    sig = replace(sig, outs={role: found[role] for role in outs})
    sig = replace(sig, params={p.name: Type(p.shape) for p in op.params(attrs, sig)})
    return replace(sig, outs={**sig.outs, **op.aux(attrs, sig)})


class Call:
    """A layer run forward on `bottoms`; `grad(role)` runs its parts with the given top gradients.

    `base` is the folder that files are looked for in.
    """

    def __init__(
        self,
        op: type[OpSpec],
        attrs: Any,
        *bottoms: Any,
        tops: int = 1,
        base: Path | None = None,
    ) -> None:
        arrays = [np.asarray(b, np.float64) for b in bottoms]
        self.op, self.attrs = op, op.Attrs() if attrs is None else attrs
        shapes = [a.shape for a in arrays]
        self.sig = signature(op, self.attrs, *shapes, tops=tops, base=base)
        self.values: dict[str, F64] = dict(zip(self.sig.ins, arrays, strict=True))
        self.out = op.reference(self.attrs, dict(self.values), Ctx(self.sig))

    def grad(self, role: str, **dtops: Any) -> F64:
        values = {**self.values, **self.out}
        values |= {r: np.asarray(d, np.float64) for r, d in dtops.items()}
        parts = [g for g in self.op.grads(self.attrs, self.sig) if g.out == role]
        assert parts, f"{role} has no gradient"
        return sum(
            self.op.vjp(self.attrs, g.part, {r: values[r] for r in g.reads}, Ctx(self.sig, g.part))
            for g in parts
        )


def inferred(op: type[OpSpec], attrs: Any, *shapes: tuple[int, ...], tops: int = 1) -> Any:
    """Shapes of the tops by role."""
    sig = signature(op, op.Attrs() if attrs is None else attrs, *shapes, tops=tops)
    return {role: sig.outs[role].shape for role in sig.tops}


def refused(code: str, op: type[OpSpec], attrs: Any, *shapes: Any, tops: int = 1) -> str:
    """The message with which inference refuses these shapes."""
    with pytest.raises(GraphError) as caught:
        inferred(op, attrs, *shapes, tops=tops)
    assert caught.value.code == code, str(caught.value)
    return caught.value.message
