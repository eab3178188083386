"""What traits and ties promise holds.

Each check takes a Case and raises CheckFailed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.check.case import (
    Case,
    draw,
    forward,
    frozen,
    same,
    signature,
    state,
    vjp,
    with_inner,
)
from graphc.check.require import require
from graphc.ir.op import Effect
from graphc.ops.spec import F64


def batch_separable(case: Case) -> None:
    """Two halves of the batch give the halves of the tops, and gradients that stack or add up."""
    batches = {r: t.shape[0] for r, t in case.sig.ins.items() if t.rank}
    batch = next(iter(batches.values()))
    cut = {r for r in case.sig.ins if batches.get(r) == batch}
    seen = {r for f in case.forwards for r in case.forward_reads(f)} & set(case.sig.ins)
    require(seen <= cut, "bottoms have different batch sizes")
    if batch < 2:
        return
    whole = state(case)
    cuts = [(0, 1), (1, batch)]
    partial = []
    for start, stop in cuts:
        shapes = {r: (stop - start, *t.shape[1:]) for r, t in case.sig.ins.items() if r in cut}
        ins = tuple(shapes.get(r, t.shape) for r, t in case.sig.ins.items())
        sig = signature(case.op, case.attrs, ins, len(case.sig.tops), case.sig.phase)
        part = _with_sig(case, sig)
        bottoms = {r: frozen(whole[r][start:stop] if r in cut else whole[r]) for r in sig.ins}
        found = forward(part, {**bottoms, **{r: whole[r] for r in sig.params}}, sig=sig)
        found |= {f"d{t}": frozen(whole[f"d{t}"][start:stop]) for t in sig.tops}
        partial.append((part, with_inner(part, found)))
    if Effect.RNG in case.op.effects:
        return
    for top in case.sig.tops:
        require(same(np.concatenate([f[top] for _, f in partial]), whole[top]), str(top))
    for grad in case.grads:
        pieces = [vjp(part, grad, found) for part, found in partial]
        expected = vjp(case, grad, whole)
        joined = sum(pieces) if grad.out in case.sig.params else np.concatenate(pieces)
        require(np.allclose(joined, expected, rtol=1e-9, atol=1e-10), str(grad.part))


def _with_sig(case: Case, sig: Any) -> Case:
    other = Case(case.op, case.index)
    other.__dict__["sig"] = sig
    return other


def elementwise(case: Case) -> None:
    """Changing some elements of the bottoms changes those elements of the top alone."""
    values = state(case)
    shape = next(iter(case.sig.ins.values())).shape
    chosen = np.random.default_rng(1).random(shape) < 0.5
    other = draw(case, 1)
    mixed = dict(draw(case))
    for role in case.sig.ins:
        require(values[role].shape == shape, f"{role} has another shape")
        mixed[role] = frozen(np.where(chosen, other[role], values[role]))
    found = forward(case, mixed)
    for top in case.sig.tops:
        require(same(found[top][~chosen], values[top][~chosen]), str(top))


def linear(case: Case) -> None:
    """y(a x + b z) - y(0) = a (y(x) - y(0)) + b (y(z) - y(0)), all bottoms taken together."""
    one, two = draw(case), draw(case, 1)
    params = {r: one[r] for r in case.sig.params}

    def at(p: float, q: float) -> dict[str, F64]:
        mixed = {r: frozen(p * one[r] + q * two[r]) for r in case.sig.ins}
        return forward(case, {**params, **mixed})  # type: ignore[no-any-return]

    zero, left, right, both = at(0, 0), at(1, 0), at(0, 1), at(2, -3)
    for top in case.sig.tops:
        expected = 2 * (left[top] - zero[top]) - 3 * (right[top] - zero[top])
        require(np.allclose(both[top] - zero[top], expected, rtol=1e-9, atol=1e-9), str(top))


def ties(case: Case) -> None:
    """Tied channels may be exchanged together, and depend on nothing but each other."""
    from graphc.check.channel_classes import check_exchange, check_independence, classes_of

    classes = classes_of(case)
    check_exchange(case, classes)
    check_independence(case, classes)
