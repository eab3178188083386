"""InnerProduct: the fully connected layer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from graphc.errors import fail
from graphc.floats import Array
from graphc.ir.op import Filler, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops._conv import packed_size
from graphc.ops._sparse import (
    GEMM_MODES,
    PRODUCT_LAYOUTS,
    check_mode,
    product_layout,
    sparse_rows,
)
from graphc.ops.kernel import Kernel, Pack
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Free, Kept, Tie
from graphc.records import record


@record(frozen=True)
class InnerProductAttrs:
    """Options of InnerProduct. `gemm_mode`: how weights are laid out, see `graphc.ops._sparse`."""

    num_output: int = 0
    bias_term: bool = True
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()
    axis: int = 1
    transpose: bool = False
    gemm_mode: str = "GEMM"


def _axis(a: InnerProductAttrs, s: Sig) -> dict[str, Any]:
    return {"axis": s.ins["x"].axis(a.axis)}


def _told(a: InnerProductAttrs, s: Sig) -> dict[str, Any]:
    return {**_axis(a, s), "bias": a.bias_term}


def _told_whole(a: InnerProductAttrs, s: Sig) -> dict[str, Any]:
    x = s.ins["x"]
    axis = x.axis(a.axis)
    depth = x.count(axis)
    batch = math.prod(x.shape[:axis])
    return {**_told(a, s), "batch": batch, "depth": depth, "outputs": a.num_output}


def _told_sparse(a: InnerProductAttrs, s: Sig) -> dict[str, Any]:
    return {**_told_whole(a, s), "transpose": a.transpose}


def _by_outputs(a: InnerProductAttrs, weight: Array) -> Array:
    return weight.T if a.transpose else weight


def _packed(a: InnerProductAttrs, s: Sig) -> int:
    return packed_size(1, a.num_output, s.params["weight"].shape[0])


class InnerProduct(OpSpec):
    """y[n,o] = sum_k weight[o,k] * x[n,k] + bias[o].

    x: (M..., K...), split at `axis`; n runs over the axes before it, k over those from it on.
    weight: (O, K), or (K, O) with `transpose`; bias: (O,). y: (M..., O).
    """

    type, param_field = "InnerProduct", "inner_product_param"
    Attrs = InnerProductAttrs
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: InnerProductAttrs, s: Sig) -> frozenset[Trait]:
        return cls.traits if s.ins["x"].axis(a.axis) else cls.traits - {Trait.BATCH_SEPARABLE}

    @staticmethod
    def params(a: InnerProductAttrs, s: Sig) -> tuple[Param, ...]:
        x = s.ins["x"]
        k = x.count(x.axis(a.axis))
        shape, out, inn = ((k, a.num_output), 1, 0) if a.transpose else ((a.num_output, k), 0, 1)
        weight = Param("weight", shape, a.weight_filler, out_axis=out, in_axis=inn)
        bias = Param("bias", (a.num_output,), a.bias_filler, out_axis=0)
        return (weight, bias) if a.bias_term else (weight,)

    @staticmethod
    def infer(a: InnerProductAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        if a.num_output < 1:
            fail("GC-N008", f"num_output is {a.num_output}", "set inner_product_param.num_output")
        check_mode(a.gemm_mode, GEMM_MODES, "gemm_mode")
        return {"y": Type((*x.shape[: x.axis(a.axis)], a.num_output))}

    @staticmethod
    def grads(a: InnerProductAttrs, s: Sig) -> tuple[Grad, ...]:
        bias = (Grad("bias", ("dy",), accumulate=True),) if a.bias_term else ()
        return (
            Grad("x", ("dy", "weight")),
            Grad("weight", ("dy", "x"), accumulate=True),
            *bias,
        )

    @staticmethod
    def ties(a: InnerProductAttrs, s: Sig) -> Algebra:
        x, axis = s.ins["x"], s.ins["x"].axis(a.axis)
        out, inn = ("weight.1", "weight.0") if a.transpose else ("weight.0", "weight.1")
        y = f"y.{axis}"
        bias: Algebra = (Tie(y, "bias.0"),) if a.bias_term else ()
        inner = Tie(f"x.{axis}", inn, repeat=x.count(axis + 1))
        kept: Algebra = tuple(Tie(f"x.{i}", f"y.{i}") for i in range(1, axis))
        return (Free(y), Tie(y, out), *bias, inner, *kept)

    @staticmethod
    def narrow(a: InnerProductAttrs, s: Sig, kept: Kept) -> InnerProductAttrs:
        outputs = kept.get(f"y.{s.ins['x'].axis(a.axis)}")
        return a if outputs is None else replace(a, num_output=len(outputs))

    @staticmethod
    def macs(a: InnerProductAttrs, part: str, s: Sig) -> int:
        if part == "dbias":
            return 0
        return s["y"].size * s["x"].count(s["x"].axis(a.axis))

    @staticmethod
    def reference(a: InnerProductAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        axis = ctx.sig["x"].axis(a.axis)
        x, w = _matrix(v["x"], axis), v["weight"].T if a.transpose else v["weight"]
        y = contract("nk,ok->no", x, w).reshape(*v["x"].shape[:axis], a.num_output)
        with np.errstate(all="ignore"):
            return {"y": y + v["bias"] if a.bias_term else y}

    @staticmethod
    def vjp(a: InnerProductAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        axis = ctx.sig["x"].axis(a.axis)
        dy = _matrix(v["dy"], axis)
        if part == "dbias":
            with np.errstate(all="ignore"):
                return np.asarray(dy.sum(0))
        if part == "dweight":
            dw = contract("no,nk->ok", dy, _matrix(v["x"], axis))
            return dw.T if a.transpose else dw
        w = v["weight"].T if a.transpose else v["weight"]
        x = ctx.sig["x"]
        return contract("no,ok->nk", dy, w).reshape(*v["dy"].shape[:axis], *x.shape[axis:])

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "inner_product",
            attrs=_told,
            when=lambda a, s: not a.transpose and not product_layout(a),
            fuses=("relu", "residual"),
        ),
        Kernel(
            "cpu",
            "forward",
            "inner_product_packed",
            attrs=_told,
            when=lambda a, s: bool(a.transpose) and not product_layout(a),
            packs=(Pack("weight", "inner_product_pack", _packed),),
            fuses=("relu", "residual"),
        ),
        Kernel(
            "cpu",
            "forward",
            "dnnl_inner_product",
            attrs=_told_whole,
            when=lambda a, s: not a.transpose and not product_layout(a),
            packs=(Pack("weight", "dnnl_inner_product_pack"),),
            fuses=("relu", "residual"),
            asks=True,
        ),
        *sparse_rows(product_layout, PRODUCT_LAYOUTS, _told_sparse, _by_outputs),
        Kernel("cpu", "dx", "inner_product_dx", attrs=_axis, when=lambda a, s: not a.transpose),
        # the weight's rows are x's elements, each a sum over o of what lies side by side
        Kernel("cpu", "dx", "inner_product", attrs=_axis, when=lambda a, s: bool(a.transpose)),
        Kernel(
            "cpu",
            "dweight",
            "inner_product_dweight",
            attrs=lambda a, s: {**_axis(a, s), "transpose": a.transpose},
            adds=True,
        ),
        Kernel("cpu", "dbias", "channel_sums", attrs=_axis, adds=True),
        Kernel(
            "cpu",
            "dweight+SGD",
            "inner_product_sgd",
            attrs=lambda a, s: {**_axis(a, s), "transpose": a.transpose},
        ),
    )
    samples = (
        Sample(((2, 5),), InnerProductAttrs(num_output=3)),
        Sample(((2, 3, 2, 2),), InnerProductAttrs(num_output=4, bias_term=False)),
        Sample(((2, 3, 4),), InnerProductAttrs(num_output=2, axis=-1, transpose=True)),
        Sample(((2, 3),), InnerProductAttrs(num_output=3, axis=0)),
        Sample(((0, 5),), InnerProductAttrs(num_output=3)),
    )


def _matrix(x: F64, axis: int) -> F64:
    """x as a matrix: axes before `axis` by the rest."""
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
