"""LSTM: long short-term memory over a sequence."""

from __future__ import annotations

import numpy as np

from graphc.ir.op import Effect, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._contract import contract
from graphc.ops._lstm import activate, step, step_back
from graphc.ops._recurrent import (
    RecurrentAttrs,
    add,
    carried,
    hidden_ties,
    infer_recurrent,
    input_ties,
    masked,
    previous,
    projected,
    projected_back,
    recurrent_forwards,
    recurrent_roles,
    sequence_starts,
    start_aux,
    starts,
    weight_params,
)
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Free, Tie

_STATES = ("h0", "c0")
_NAMES = ("W_xc", "b_c", "W_xc_static", "W_hc")


class LSTM(OpSpec):
    """c[t] = cont[t] f c[t-1] + i g, y[t] = o tanh(c[t]), for each step t.

    i, f, o = sigmoid and g = tanh of the four blocks of W_xc x[t] + W_hc cont[t] y[t-1] + b_c.
    x: (T, N, I...); cont: (T, N), 0 where a sequence starts; x_static: (N, I...), added to every
    step through W_xc_static. W_xc (4 D, I), b_c (4 D,), W_hc (4 D, D). y: (T, N, D).
    The state is carried from one forward to the next (gradients are not), or with expose_hidden
    comes in as h0, c0 and goes out as hT, cT, each (1, N, D).
    Source: Donahue et al. 2015, "Long-term recurrent convolutional networks".
    """

    type, param_field = "LSTM", "recurrent_param"
    Attrs = RecurrentAttrs
    bottoms, tops = ("x", "cont", "x_static?", "h0?", "c0?"), ("y", "hT?", "cT?")
    traits = frozenset({Trait.SLOW_COMPILE})
    effects = frozenset({Effect.CARRY})

    @classmethod
    def roles(
        cls, a: RecurrentAttrs, n_ins: int, n_tops: int
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return recurrent_roles(a, _STATES, n_ins, n_tops)

    @staticmethod
    def params(a: RecurrentAttrs, s: Sig) -> tuple[Param, ...]:
        return (*weight_params(a, s, 4 * a.num_output, _NAMES), *carried(a, s, _STATES))

    @staticmethod
    def infer(a: RecurrentAttrs, s: Sig) -> dict[str, Type]:
        return infer_recurrent(a, s, _STATES)

    @staticmethod
    def aux(a: RecurrentAttrs, s: Sig) -> dict[str, Type]:
        """gates: (T, N, 4 D), activated; cell: c of each step (T, N, D); the initial states."""
        t, n = s.ins["x"].shape[:2]
        made = {"gates": Type((t, n, 4 * a.num_output)), "cell": Type((t, n, a.num_output))}
        return made | start_aux(a, s, _STATES)

    @staticmethod
    def forwards(a: RecurrentAttrs, s: Sig) -> tuple[Forward, ...]:
        return recurrent_forwards(a, _STATES, ("y", "cell"))

    @staticmethod
    def grads(a: RecurrentAttrs, s: Sig) -> tuple[Grad, ...]:
        h_in, c_in = starts(a, _STATES)
        tops = (f"d{top}" for top in s.tops)
        between = ("W_hc",) if s.ins["x"].shape[0] > 1 else ()
        back = (*tops, "gates", "cell", c_in, "cont", *between)
        parts = [Grad("x", (*back, "W_xc")), Grad("W_xc", (*back, "x"), accumulate=True)]
        parts.append(Grad("b_c", back, accumulate=True))
        if "x_static" in s.ins:
            parts.append(Grad("x_static", (*back, "W_xc_static")))
            parts.append(Grad("W_xc_static", (*back, "x_static"), accumulate=True))
        earlier = ("y", h_in) if between else (h_in,)
        parts.append(Grad("W_hc", (*back, *earlier), accumulate=True))
        if a.expose_hidden:
            parts.append(Grad("h0", back if between else (*back, "W_hc")))
            parts.append(Grad("c0", tuple(role for role in back if role != c_in)))
        return tuple(parts)

    @staticmethod
    def ties(a: RecurrentAttrs, s: Sig) -> Algebra:
        rows = [Tie("y.2", f"{name}.0", tile=4) for name in _NAMES if name in s.params]
        units = hidden_ties(a, s, _STATES, (*rows, Tie("y.2", "W_hc.1")))
        return (Free("y.2"), *units, *input_ties(s, _NAMES))

    @staticmethod
    def macs(a: RecurrentAttrs, part: str, s: Sig) -> int:
        t, n = s.ins["x"].shape[:2]
        rows = 4 * a.num_output
        inputs, hidden = t * n * rows * s.ins["x"].count(2), t * n * rows * a.num_output
        static = n * rows * s.ins["x_static"].count(1) if "x_static" in s.ins else 0
        if part == "forward":
            return inputs + hidden + static
        if part == "carry":
            return 0
        own = {"dx": inputs, "dW_xc": inputs, "dx_static": static, "dW_xc_static": static}
        own |= {"dW_hc": hidden, "dh0": hidden // t}
        return hidden - hidden // t + own.get(part, 0)

    @staticmethod
    def reference(a: RecurrentAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        if ctx.part == "carry":
            return {"h0": v["y"][-1:], "c0": v["cell"][-1:]}
        sums, h, c = projected(v, _NAMES), v["h0"][0], v["c0"][0]
        hidden, cells, gates = [], [], []
        for sum_t, cont in zip(sums, v["cont"], strict=True):
            gates.append(activate(add(sum_t, contract("nd,gd->ng", masked(h, cont), v["W_hc"]))))
            c, h = step(gates[-1], c, cont)
            hidden.append(h)
            cells.append(c)
        y, cell = np.stack(hidden), np.stack(cells)
        made = {"y": y, "hT": y[-1:], "cT": cell[-1:], "gates": np.stack(gates), "cell": cell}
        return made | {"h_in": v["h0"], "c_in": v["c0"]}

    @staticmethod
    def vjp(a: RecurrentAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        dsums, dh0, dc0 = _through_time(a, v, needs_h0=part == "dh0")
        if part in ("dh0", "dc0"):
            return dh0 if part == "dh0" else dc0
        if part == "dW_hc":
            h_in = v[starts(a, _STATES)[0]]
            h = masked(previous(v["y"], h_in) if "y" in v else h_in, v["cont"])
            return contract("tng,tnd->gd", dsums, h)
        return projected_back(part, dsums, v, ctx.sig, _NAMES)

    samples = (
        Sample(((3, 2, 2), (3, 2)), RecurrentAttrs(num_output=2), draw={"cont": sequence_starts}),
        Sample(
            ((2, 2, 2, 1), (2, 2), (2, 1, 3)),
            RecurrentAttrs(num_output=1),
            draw={"cont": sequence_starts},
        ),
        Sample(
            ((3, 2, 2), (3, 2), (2, 2), (1, 2, 2), (1, 2, 2)),
            RecurrentAttrs(num_output=2, expose_hidden=True),
            tops=3,
            draw={"cont": sequence_starts},
        ),
        Sample(
            ((1, 2, 3), (1, 2), (1, 2, 2), (1, 2, 2)),
            RecurrentAttrs(num_output=2, expose_hidden=True),
            tops=3,
            draw={"cont": sequence_starts},
        ),
        Sample(((1, 2, 3), (1, 2)), RecurrentAttrs(num_output=2), draw={"cont": sequence_starts}),
        Sample(((2, 0, 3), (2, 0)), RecurrentAttrs(num_output=2)),
    )


def _through_time(a: RecurrentAttrs, v: Values, *, needs_h0: bool) -> tuple[F64, F64, F64]:
    """Gradients of the gates' sums (T, N, 4 D), of h0 (only if needed) and of c0 (1, N, D)."""
    nothing = np.zeros_like(v["cell"][:1])
    before = previous(v["cell"], v.get(starts(a, _STATES)[1], nothing))  # dc0 does not need it
    dh, dc = nothing[0], nothing[0]
    if a.expose_hidden:
        dh, dc = v["dhT"][0], v["dcT"][0]
    dsums = np.empty_like(v["gates"])
    for t in reversed(range(len(dsums))):
        cont = v["cont"][t]
        dh = add(dh, v["dy"][t])
        dsums[t], dc = step_back(dc, dh, v["gates"][t], before[t], v["cell"][t], cont)
        if t or needs_h0:
            dh = masked(contract("ng,gd->nd", dsums[t], v["W_hc"]), cont)
    return dsums, dh[None], dc[None]
