"""Offer: another way to do what a raw kernel does, by a library; the raw kernel is always one, too.

A table of a library's kernels is a function from a `Use` to offers. Nothing here needs a GPU: the
planner chooses among what a table says, and a device that runs the plan is given the key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from graphc.cuda.launch import Spec
from graphc.records import record


@record(frozen=True, slots=True)
class Use:
    """What is asked for: the symbol of a kernel row (`symbols`), what it is told, and its operands
    in the row's order, dense. `conv` with x, weight and perhaps bias is a convolution forward,
    `deconv` with dy and weight its gradient of x, `conv_dweight` with dy and x that of the weight;
    `inner_product`, `inner_product_dx`, `inner_product_dweight` are the products. `told` has
    "kernel", "stride", "pad", "dilation", "group", "axis", "bias" of a convolution, and
    "accumulate" where the result is added to the last read, which is the result itself."""

    symbol: str
    told: tuple[tuple[str, Any], ...]
    reads: tuple[Spec, ...]
    writes: tuple[Spec, ...]


@record(frozen=True, slots=True)
class Offer:
    """`key`: the name by which a device makes it again, no kernel's symbol; `workspace`: bytes, in
    the plan's arena; `us`: how long it takes; `deterministic`: the same bits in every run; `basis`:
    what the time rests on."""

    key: str
    workspace: int = 0
    us: float = 0.0
    deterministic: bool = True
    basis: str = "table"


Variants: TypeAlias = Callable[[Use], Sequence[Offer]]
"""The offers for a use, in any order; none where a library has nothing."""


def raw_alone(use: Use) -> Sequence[Offer]:
    """No library."""
    return ()


__all__ = ["Offer", "Use", "Variants", "raw_alone"]
