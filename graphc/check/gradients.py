"""Backward parts are gradients, and read what they need and no more.

Each check takes a Case and raises CheckFailed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.check.case import (
    Case,
    draw,
    frozen,
    numeric_gradient,
    same,
    state,
    top_gradients,
    uniform,
    vjp,
)
from graphc.check.require import require
from graphc.errors import GraphError
from graphc.ir.op import Effect
from graphc.ops.spec import F64, Ctx, Forward, Grad


def gradient(case: Case) -> None:
    """The sum of the parts for one role equals central differences; parts see only their reads."""
    values = state(case)
    dtops = top_gradients(case, values)
    inputs = draw(case)
    for role in dict.fromkeys(g.out for g in case.grads if g.out not in case.inner):
        found = sum(vjp(case, g, values) for g in case.grads if g.out == role)
        expected = numeric_gradient(case, role, inputs, dtops)
        worst = float(np.abs(found - expected).max(initial=0))
        bound = 1e-6 * max(1.0, float(np.abs(expected).max(initial=0)))
        require(worst <= bound, f"gradient of {role!r} is off by {worst:.3g}, allowed {bound:.3g}")


def reads(cases: list[Case]) -> None:
    """Every declared read matters in one of the samples that declare it: exchanging the value for
    another changes what the part computes."""
    doubtful: set[tuple[str, str]] = set()
    proven: set[tuple[str, str]] = set()
    for case in cases:
        if any(t.size == 0 for t in case.sig.ins.values()):
            continue
        parts = [(g.part, g.reads, _part_of(case, g)) for g in case.grads]
        parts += [(f.name, case.forward_reads(f), _forward_of(case, f)) for f in case.forwards]
        for name, roles, run in parts:
            for role in roles:
                key = (name, role)
                if key not in proven:
                    (proven if _matters(case, role, run) else doubtful).add(key)
    unneeded = sorted(doubtful - proven)
    require(not unneeded, f"reads that never matter: {unneeded}")


def _part_of(case: Case, grad: Grad) -> Any:
    return lambda values: vjp(case, grad, values)


def _forward_of(case: Case, part: Forward) -> Any:
    stream = uniform(0) if Effect.RNG in case.op.effects else None

    def run(values: dict[str, F64]) -> F64:
        operands = {r: values[r] for r in case.forward_reads(part)}
        found = case.op.reference(case.attrs, operands, Ctx(case.sig, part.name, stream))
        written = [np.ravel(found[w]) for w in case.forward_writes(part)]
        return np.concatenate([*written, np.zeros(1)])

    return run


def _matters(case: Case, role: str, run: Any) -> bool:
    for seed in range(4):
        values = state(case, seed)
        plain = run(values)
        for other in _alternatives(case, role, values[role], seed):
            try:
                changed = run({**values, role: frozen(other)})
            except GraphError:
                continue
            if not same(changed, plain):
                return True
    return False


def _alternatives(case: Case, role: str, value: F64, seed: int) -> Iterator[F64]:
    """Other legal values of a role: from other draws, then shuffled, then disturbed."""
    rng = np.random.default_rng(5)
    for other in range(seed + 1, seed + 4):
        drawn = state(case, other)[role]
        if drawn.shape == value.shape:
            yield drawn
    yield rng.permutation(np.array(value).ravel()).reshape(value.shape)
    is_float = role not in case.sig.outs or case.sig[role].dtype == "f32"
    if is_float:
        yield value * 1.5 + 0.25
        yield value * 0
