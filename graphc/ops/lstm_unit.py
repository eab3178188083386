"""LSTMUnit: one step of an LSTM, given the weighted sums behind its gates."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import NoAttrs, Sig
from graphc.ir.types import Type
from graphc.ops._lstm import activate, step, step_back
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Tie, same

_READS = ("dc", "dh", "c_prev", "gates", "cont")


class LSTMUnit(OpSpec):
    """c[n,d] = cont[n] f c_prev[n,d] + i g, h[n,d] = o tanh(c[n,d]).

    i, f, o = sigmoid and g = tanh of the four blocks of gates, (1, N, 4 D). c_prev: (1, N, D);
    cont: (1, N), 0 where a sequence starts. c, h: (1, N, D).
    """

    type = "LSTMUnit"
    bottoms, tops = ("c_prev", "gates", "cont"), ("c", "h")

    @staticmethod
    def infer(a: NoAttrs, s: Sig) -> dict[str, Type]:
        c, gates, cont = s.ins["c_prev"], s.ins["gates"], s.ins["cont"]
        if c.rank != 3 or c.shape[0] != 1:
            fail("GC-S002", f"c_prev has shape {c.shape}, but must be (1, N, D)")
        n, d = c.shape[1:]
        if gates.shape != (1, n, 4 * d):
            fail("GC-S003", f"gates has shape {gates.shape}, but c_prev is {c.shape}: (1, N, 4 D)")
        if cont.shape != (1, n):
            fail("GC-S003", f"cont has shape {cont.shape}, but c_prev is {c.shape}: (1, N)")
        return {"c": c, "h": c}

    @staticmethod
    def grads(a: NoAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("c_prev", _READS), Grad("gates", _READS))

    @staticmethod
    def ties(a: NoAttrs, s: Sig) -> Algebra:
        gates = Tie("c_prev.2", "gates.2", tile=4)
        return (*same("c_prev", "c", 2), *same("c_prev", "h", 2), gates)

    @staticmethod
    def reference(a: NoAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        c, h = step(activate(v["gates"]), v["c_prev"], v["cont"])
        return {"c": c, "h": h}

    @staticmethod
    def vjp(a: NoAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        gates, c_prev, cont = activate(v["gates"]), v["c_prev"], v["cont"]
        c, _ = step(gates, c_prev, cont)
        dgates, dc_prev = step_back(v["dc"], v["dh"], gates, c_prev, c, cont)
        return dgates if part == "dgates" else dc_prev

    kernels = (
        Kernel("cpu", "forward", "lstm_unit"),
        Kernel("cpu", "dgates", "lstm_unit_gradient", attrs=lambda a, s: {"gates": True}),
        Kernel("cpu", "dc_prev", "lstm_unit_gradient", attrs=lambda a, s: {"gates": False}),
    )
    samples = (
        Sample(
            ((1, 3, 2), (1, 3, 8), (1, 3)),
            tops=2,
            draw={"cont": lambda rng, shape: (rng.permutation(shape[1]) > 0)[None].astype(float)},
        ),
        Sample(((1, 0, 2), (1, 0, 8), (1, 0)), tops=2),
    )
