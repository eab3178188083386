"""RNN: a plain recurrent network over a sequence."""

from __future__ import annotations

from graphc.ir.op import Effect, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops._expr_rows import Body, expr_rows
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
from graphc.ops._recurrent_rows import (
    recurrent_kernels,
    sums_kernels,
    walk_kernel,
    weight_kernels,
)
from graphc.ops.scalar import Var
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Free, Kept, Tie

_STATES = ("h0",)
_NAMES = ("W_xh", "b_h", "W_xh_static", "W_hh")


class RNN(OpSpec):
    """h[t] = tanh(W_xh x[t] + W_hh cont[t] h[t-1] + b_h), y[t] = tanh(W_ho h[t] + b_o).

    x: (T, N, I...); cont: (T, N), 0 where a sequence starts; x_static: (N, I...), added to every
    step through W_xh_static. W_xh (D, I), b_h (D,), W_hh and W_ho (D, D), b_o (D,). y: (T, N, D).
    The state h is carried from one forward to the next (gradients are not), or with expose_hidden
    comes in as h0 and goes out as hT, each (1, N, D).
    """

    type, param_field = "RNN", "recurrent_param"
    Attrs = RecurrentAttrs
    bottoms, tops = ("x", "cont", "x_static?", "h0?"), ("y", "hT?")
    traits = frozenset({Trait.SLOW_COMPILE})
    effects = frozenset({Effect.CARRY})

    @classmethod
    def roles(
        cls, a: RecurrentAttrs, n_ins: int, n_tops: int
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return recurrent_roles(a, _STATES, n_ins, n_tops)

    @staticmethod
    def params(a: RecurrentAttrs, s: Sig) -> tuple[Param, ...]:
        d = a.num_output
        out = Param("W_ho", (d, d), a.weight_filler, out_axis=0, in_axis=1)
        bias = Param("b_o", (d,), a.bias_filler, out_axis=0)
        return (*weight_params(a, s, d, _NAMES), out, bias, *carried(a, s, _STATES))

    @staticmethod
    def infer(a: RecurrentAttrs, s: Sig) -> dict[str, Type]:
        return infer_recurrent(a, s, _STATES)

    @staticmethod
    def aux(a: RecurrentAttrs, s: Sig) -> dict[str, Type]:
        """hidden: h of each step (T, N, D); the initial state."""
        hidden = Type((*s.ins["x"].shape[:2], a.num_output))
        return {"hidden": hidden} | start_aux(a, s, _STATES)

    @staticmethod
    def forwards(a: RecurrentAttrs, s: Sig) -> tuple[Forward, ...]:
        return recurrent_forwards(a, _STATES, ("hidden",))

    @staticmethod
    def inner(a: RecurrentAttrs, s: Sig) -> dict[str, Type]:
        """sums and out_sums: what h and y are the tanh of, each (T, N, D)."""
        return dict.fromkeys(("sums", "out_sums"), sums_type(s, a.num_output))

    @staticmethod
    def grads(a: RecurrentAttrs, s: Sig) -> tuple[Grad, ...]:
        finals = (f"d{top}" for top in s.tops[1:])
        between = ("W_hh", "cont") if s.ins["x"].shape[0] > 1 else ()
        return (
            Grad("out_sums", ("dy", "y"), over="dy"),
            Grad("sums", ("dout_sums", *finals, "hidden", "W_ho", *between)),
            *projected_grads(s, _NAMES),
            Grad("W_ho", ("dout_sums", "hidden"), accumulate=True),
            Grad("b_o", ("dout_sums",), accumulate=True),
            *hidden_grads(a, s, "hidden", _NAMES),
        )

    @staticmethod
    def ties(a: RecurrentAttrs, s: Sig) -> Algebra:
        """Unit j of h and unit j of y go together, since num_output counts both."""
        rows = [Tie("y.2", f"{name}.0") for name in (*_NAMES, "W_ho", "b_o") if name in s.params]
        units = hidden_ties(a, s, _STATES, (*rows, Tie("y.2", "W_hh.1"), Tie("y.2", "W_ho.1")))
        return (Free("y.2"), *units, *input_ties(s, _NAMES))

    @staticmethod
    def narrow(a: RecurrentAttrs, s: Sig, kept: Kept) -> RecurrentAttrs:
        return hidden_narrow(a, kept)

    @staticmethod
    def macs(a: RecurrentAttrs, part: str, s: Sig) -> int:
        (t, n), d = s.ins["x"].shape[:2], a.num_output
        inputs, hidden = t * n * d * s.ins["x"].count(2), t * n * d * d
        static = n * d * s.ins["x_static"].count(1) if "x_static" in s.ins else 0
        if part == "forward":
            return inputs + static + 2 * hidden
        own = {"dx": inputs, "dW_xh": inputs, "dx_static": static, "dW_xh_static": static}
        own |= {"dW_hh": hidden, "dW_ho": hidden, "dh0": hidden // t}
        own |= {"dsums": 2 * hidden - hidden // t}
        return own.get(part, 0)

    @staticmethod
    def reference(a: RecurrentAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        if ctx.part == "carry":
            return {"h0": v["hidden"][-1:]}
        sums, h = projected(v, _NAMES), v["h0"][0]
        steps = []
        for sum_t, cont in zip(sums, v["cont"], strict=True):
            h = np.tanh(add(sum_t, contract("nd,gd->ng", masked(h, cont), v["W_hh"])))
            steps.append(h)
        hidden = np.stack(steps)
        y = np.tanh(add(contract("tnd,gd->tng", hidden, v["W_ho"]), v["b_o"]))
        return {"y": y, "hT": hidden[-1:], "hidden": hidden, "h_in": v["h0"]}

    @staticmethod
    def vjp(a: RecurrentAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        with np.errstate(all="ignore"):
            if part == "dout_sums":
                return np.asarray(v["dy"] * (1 - v["y"] * v["y"]))
            if part == "db_o":
                return np.asarray(v["dout_sums"].sum((0, 1)))
        if part == "dW_ho":
            return contract("tng,tnd->gd", v["dout_sums"], v["hidden"])
        if part == "dsums":
            return _through_time(a, v)
        if part in ("dW_hh", "dh0"):
            return hidden_back(part, v, starts(a, _STATES)[0], "hidden", _NAMES)
        return projected_back(part, v, ctx.sig, _NAMES)

    kernels = (
        *recurrent_kernels("rnn", ("hidden",)),
        walk_kernel("dsums", "rnn_dsums", grads),
        *sums_kernels(_NAMES),
        *expr_rows("dout_sums", lambda a, s: _through_tanh(s))[:1],
        *weight_kernels("W_ho", "b_o"),
    )
    samples = (
        Sample(((3, 2, 2), (3, 2)), RecurrentAttrs(num_output=2), draw={"cont": sequence_starts}),
        Sample(
            ((2, 2, 2, 1), (2, 2), (2, 1, 3)),
            RecurrentAttrs(num_output=1),
            draw={"cont": sequence_starts},
        ),
        Sample(
            ((3, 2, 2), (3, 2), (2, 2), (1, 2, 2)),
            RecurrentAttrs(num_output=2, expose_hidden=True),
            tops=2,
            draw={"cont": sequence_starts},
        ),
        Sample(
            ((1, 2, 3), (1, 2), (1, 2, 2)),
            RecurrentAttrs(num_output=2, expose_hidden=True),
            tops=2,
            draw={"cont": sequence_starts},
        ),
        Sample(((1, 2, 3), (1, 2)), RecurrentAttrs(num_output=2), draw={"cont": sequence_starts}),
        Sample(((2, 0, 3), (2, 0)), RecurrentAttrs(num_output=2)),
    )


def _through_tanh(s: Sig) -> Body:
    dy, y = Var("dy"), Var("y")
    return Body({"d": dy * (1 - y * y)}, ("dy", "y"), ("d",), {}, s)


def _through_time(a: RecurrentAttrs, v: Values) -> F64:
    """Gradient of the sums in h's tanh (T, N, D), from the last step to the first."""
    direct = contract("tng,gd->tnd", v["dout_sums"], v["W_ho"])
    dh = v["dhT"][0] if a.expose_hidden else np.zeros(direct.shape[1:])
    dsums = np.empty_like(direct)
    for t in reversed(range(len(dsums))):
        h = v["hidden"][t]
        with np.errstate(all="ignore"):
            dsums[t] = (dh + direct[t]) * (1 - h * h)
        if t:
            dh = through_hidden(dsums[t : t + 1], v["cont"][t : t + 1], v["W_hh"])[0]
    return dsums
