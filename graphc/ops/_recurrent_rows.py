"""Kernel rows of what LSTM and RNN share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.ir.op import Sig
from graphc.ops._recurrent import Names, RecurrentAttrs, Roles
from graphc.ops.kernel import Kernel
from graphc.ops.spec import Grad


def recurrent_kernels(symbol: str, sequences: Roles) -> tuple[Kernel, ...]:
    """The whole sequence in one call, and the states' last step in another. The first is told its
    operands' roles; `sequences` are written even where only the second reads them."""

    def told(a: RecurrentAttrs, s: Sig) -> dict[str, Any]:
        kept = () if a.expose_hidden else tuple(r for r in sequences if r not in s.outs)
        return {"reads": " ".join((*s.ins, *s.params)), "writes": " ".join((*s.outs, *kept))}

    return (Kernel("cpu", "forward", symbol, attrs=told), Kernel("cpu", "carry", "last_step"))


def walk_kernel(
    part: str, symbol: str, grads: Callable[[RecurrentAttrs, Sig], tuple[Grad, ...]]
) -> Kernel:
    """A part that goes back through time; it is told its operands' roles."""

    def told(a: RecurrentAttrs, s: Sig) -> dict[str, Any]:
        reads = next(grad.reads for grad in grads(a, s) if grad.part == part)
        return {"reads": " ".join(reads)}

    return Kernel("cpu", part, symbol, attrs=told)


def sums_kernels(names: Names) -> tuple[Kernel, ...]:
    """Of the parts that follow from "dsums". Those of `projected` treat all steps alike, as if
    these were samples, or look at their sum."""
    inputs, bias, static, hidden = names
    return (
        Kernel("cpu", "dx", "inner_product_dx", attrs=lambda a, s: {"axis": 2}),
        *weight_kernels(inputs, bias),
        Kernel("cpu", "dx_static", "static_dx"),
        Kernel("cpu", f"d{static}", "static_dweight", adds=True),
        Kernel("cpu", f"d{hidden}", "recurrent_dweight", adds=True),
        Kernel("cpu", "dh0", "recurrent_dh0"),
    )


def weight_kernels(weight: str, bias: str) -> tuple[Kernel, ...]:
    """Of the gradients of a weight and a bias, given those of their sums, (T, N, rows)."""
    parts = ((weight, "inner_product_dweight"), (bias, "channel_sums"))
    return tuple(
        Kernel("cpu", f"d{role}", symbol, attrs=lambda a, s: {"axis": 2}, adds=True)
        for role, symbol in parts
    )
