"""Embed: a learned vector for each id."""

from __future__ import annotations

from dataclasses import replace

from graphc.errors import fail
from graphc.ir.op import Filler, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Free, Kept, Tie, same
from graphc.records import record


@record(frozen=True)
class EmbedAttrs:
    num_output: int = 0
    input_dim: int = 0
    bias_term: bool = True
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()


class Embed(OpSpec):
    """y[n,o] = weight[x[n],o] + bias[o].

    x: (N...), ids in 0 .. input_dim-1, truncated to integers. weight: (input_dim, O); bias: (O,).
    y: (N..., O). Raises GC-D003 at run for an id out of range.
    """

    type, param_field = "Embed", "embed_param"
    Attrs = EmbedAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @staticmethod
    def params(a: EmbedAttrs, s: Sig) -> tuple[Param, ...]:
        weight = Param("weight", (a.input_dim, a.num_output), a.weight_filler, out_axis=1)
        bias = Param("bias", (a.num_output,), a.bias_filler, out_axis=0)
        return (weight, bias) if a.bias_term else (weight,)

    @staticmethod
    def infer(a: EmbedAttrs, s: Sig) -> dict[str, Type]:
        for name in ("num_output", "input_dim"):
            if getattr(a, name) < 1:
                fail("GC-N008", f"{name} is {getattr(a, name)}", f"set embed_param.{name}")
        return {"y": Type((*s.ins["x"].shape, a.num_output))}

    @staticmethod
    def grads(a: EmbedAttrs, s: Sig) -> tuple[Grad, ...]:
        bias = (Grad("bias", ("dy",), accumulate=True),) if a.bias_term else ()
        return (Grad("weight", ("dy", "x"), accumulate=True), *bias)

    @staticmethod
    def ties(a: EmbedAttrs, s: Sig) -> Algebra:
        rank = s.ins["x"].rank
        y = f"y.{rank}"
        bias: Algebra = (Tie(y, "bias.0"),) if a.bias_term else ()
        return (Free(y), Tie(y, "weight.1"), *bias, *same("x", "y", *range(1, rank)))

    @staticmethod
    def narrow(a: EmbedAttrs, s: Sig, kept: Kept) -> EmbedAttrs:
        outputs = kept.get(f"y.{s.ins['x'].rank}")
        return a if outputs is None else replace(a, num_output=len(outputs))

    @staticmethod
    def reference(a: EmbedAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        y = v["weight"][_ids(a, v["x"])]
        with np.errstate(all="ignore"):
            return {"y": y + v["bias"] if a.bias_term else y}

    @staticmethod
    def vjp(a: EmbedAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        dy = v["dy"].reshape(v["dy"].size // a.num_output, a.num_output)
        dweight = np.zeros((a.input_dim, a.num_output))
        with np.errstate(all="ignore"):
            if part == "dbias":
                return np.asarray(dy.sum(0))
            np.add.at(dweight, _ids(a, v["x"]).reshape(-1), dy)
        return dweight

    kernels = (
        Kernel("cpu", "forward", "embed", attrs=lambda a, s: {"bias": bool(a.bias_term)}),
        Kernel("cpu", "dweight", "scatter_rows", adds=True),
        Kernel(
            "cpu",
            "dbias",
            "channel_sums",
            attrs=lambda a, s: {"axis": s.ins["x"].rank},
            adds=True,
        ),
    )
    samples = (
        Sample(
            ((5,),),
            EmbedAttrs(num_output=3, input_dim=4),
            draw={"x": lambda rng, shape: rng.integers(0, 4, shape).astype(np.float64)},
        ),
        Sample(
            ((2, 3, 1),),
            EmbedAttrs(num_output=2, input_dim=5, bias_term=False),
            draw={"x": lambda rng, shape: rng.uniform(0, 5, shape)},
        ),
        Sample(((0,),), EmbedAttrs(num_output=3, input_dim=4)),
    )


def _ids(a: EmbedAttrs, x: F64) -> npt.NDArray[np.int64]:
    """Truncated ids. Raises GC-D003 for one out of range, or NaN."""
    whole = np.trunc(x)
    bad = ~((whole >= 0) & (whole < a.input_dim))
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        fail(
            "GC-D003",
            f"id {x[place]:g} at {place} is outside 0..{a.input_dim - 1} (input_dim {a.input_dim})",
        )
    return whole.astype(np.int64)
