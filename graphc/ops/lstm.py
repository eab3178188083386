"""LSTM: long short-term memory over a sequence."""

from __future__ import annotations

from graphc.ir.op import Effect, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops._lstm import activate, cell_back, step, step_back
from graphc.ops._recurrent import (
    RecurrentAttrs,
    add,
    carried,
    hidden_back,
    hidden_grads,
    hidden_narrow,
    hidden_ties,
    infer_recurrent,
    input_ties,
    masked,
    previous,
    projected,
    projected_back,
    projected_grads,
    recurrent_forwards,
    recurrent_roles,
    sequence_starts,
    start_aux,
    starts,
    sums_type,
    through_hidden,
    weight_params,
)
from graphc.ops._recurrent_rows import recurrent_kernels, sums_kernels, walk_kernel
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Free, Kept, Tie

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
    def inner(a: RecurrentAttrs, s: Sig) -> dict[str, Type]:
        """sums: what the gates are activations of, (T, N, 4 D)."""
        return {"sums": sums_type(s, 4 * a.num_output)}

    @staticmethod
    def grads(a: RecurrentAttrs, s: Sig) -> tuple[Grad, ...]:
        back = (*(f"d{top}" for top in s.tops), "gates", "cell", "cont")
        steps = s.ins["x"].shape[0] > 1
        through = (*back, starts(a, _STATES)[1], *(("W_hc",) if steps else ()))
        parts = [Grad("sums", through, over="gates"), *projected_grads(s, _NAMES)]
        parts += hidden_grads(a, s, "y", _NAMES)
        if a.expose_hidden:
            parts.append(Grad("c0", (*back, *(("dsums", "W_hc") if steps else ()))))
        return tuple(parts)

    @staticmethod
    def ties(a: RecurrentAttrs, s: Sig) -> Algebra:
        rows = [Tie("y.2", f"{name}.0", tile=4) for name in _NAMES if name in s.params]
        units = hidden_ties(a, s, _STATES, (*rows, Tie("y.2", "W_hc.1")))
        return (Free("y.2"), *units, *input_ties(s, _NAMES))

    @staticmethod
    def narrow(a: RecurrentAttrs, s: Sig, kept: Kept) -> RecurrentAttrs:
        return hidden_narrow(a, kept)

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
        own |= dict.fromkeys(("dsums", "dc0"), hidden - hidden // t)
        return own.get(part, 0)

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
        h_in, c_in = starts(a, _STATES)
        if part == "dsums":
            return _through_time(a, v, c_in)
        if part == "dc0":
            return _through_cells(v)
        if part in ("dW_hc", "dh0"):
            return hidden_back(part, v, h_in, "y", _NAMES)
        return projected_back(part, v, ctx.sig, _NAMES)

    kernels = (
        *recurrent_kernels("lstm", ("cell",)),
        walk_kernel("dsums", "lstm_dsums", grads),
        walk_kernel("dc0", "lstm_dc0", grads),
        *sums_kernels(_NAMES),
    )
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


def _through_time(a: RecurrentAttrs, v: Values, c_in: str) -> F64:
    """Gradient of the sums behind the gates (T, N, 4 D), from the last step to the first."""
    before, nothing = previous(v["cell"], v[c_in]), np.zeros_like(v["cell"][0])
    dh, dc = (v["dhT"][0], v["dcT"][0]) if a.expose_hidden else (nothing, nothing)
    dsums = np.empty_like(v["gates"])
    for t in reversed(range(len(dsums))):
        cont = v["cont"][t]
        dh = add(dh, v["dy"][t])
        dsums[t], dc = step_back(dc, dh, v["gates"][t], before[t], v["cell"][t], cont)
        if t:
            dh = through_hidden(dsums[t : t + 1], v["cont"][t : t + 1], v["W_hc"])[0]
    return dsums


def _through_cells(v: Values) -> F64:
    """Gradient of c0 (1, N, D); that of each h[t] follows from "dsums" without a walk."""
    dh, dc = v["dhT"], v["dcT"][0]
    if "dsums" in v:
        dh = np.concatenate([through_hidden(v["dsums"][1:], v["cont"][1:], v["W_hc"]), dh])
    dh = add(dh, v["dy"])
    for t in reversed(range(len(dh))):
        dc = cell_back(dc, dh[t], v["gates"][t], v["cell"][t], v["cont"][t])
    return np.asarray(dc[None])
