"""Sparse layouts of weights: the modes that name them, and the kernels that compute with them.

`conv_mode` and `gemm_mode` are fields of the forks of Wen et al. (SSL) and of SkimCaffe (Park et
al.) and mean what they meant there: how the product is done, never what comes out. The kernel of a
layout packs the weights that are not zero whenever they changed, into room for as many as there
were when the network was lowered, or for all where it is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from graphc.errors import fail
from graphc.floats import Array
from graphc.ir.op import Sig
from graphc.numpy_later import np
from graphc.ops.kernel import Kernel, Pack

DENSE_CONV, DENSE_PRODUCT = "LOWERED_GEMM", "GEMM"
SPARSE, COMPACT, PANELS = "sparse", "compact", "panels"
"""Non-zero elements alone; what is left without zero filters and, for a few filters at a time,
without zero columns; of each 16 outputs the columns that are not zero."""
SLIVER, PANEL = 8, 16
"""Filters that share their columns in a compact layout (at most), outputs that do in a panel."""

CONV_MODES = {
    DENSE_CONV: "",
    "DIRECT_DCONV": "",
    "DIRECT_SCONV": SPARSE,
    "LOWERED_CSRMM": SPARSE,
    "LOWERED_CCNMM": COMPACT,
}
"""Mode -> layout; "" is dense. What the forks lower to a matrix is computed without one here."""
GEMM_MODES = {DENSE_PRODUCT: "", "SPMDM": SPARSE, "SPGEMM": SPARSE, "PANELS": PANELS}
"""The same of inner products. That x is sparse, too (SPGEMM), is made no use of."""
IMAGE_LAYOUTS = {SPARSE: "conv_sparse", COMPACT: "conv_compact"}
PRODUCT_LAYOUTS = {SPARSE: "inner_product_sparse", PANELS: "inner_product_panels"}


def image_layout(a: Any) -> str:
    return CONV_MODES.get(a.conv_mode, "")


def product_layout(a: Any, s: Sig | None = None) -> str:
    return GEMM_MODES.get(a.gemm_mode, "")


def plain(a: Any) -> Any:
    """The attributes of a layer whose weights, if it has any, are laid out as they are."""
    dense = {"conv_mode": DENSE_CONV, "gemm_mode": DENSE_PRODUCT}
    found = {field: mode for field, mode in dense.items() if hasattr(a, field)}
    return replace(a, **found) if found else a


def check_mode(mode: str, modes: Mapping[str, str], field: str) -> None:
    """Raise GC-N008 for a mode that there is not."""
    if mode not in modes:
        fail("GC-N008", f"{field} is {mode!r}", f"one of {', '.join(modes)}")


def stored(layout: str, rows: Array) -> int:
    """How many numbers a layout keeps of a weight (outputs, columns) or, with groups, (group,
    outputs, columns)."""
    if layout == SPARSE:
        return int(np.count_nonzero(rows))
    if layout == PANELS:
        return PANEL * sum(
            int(np.count_nonzero(rows[at : at + PANEL].any(0))) for at in range(0, len(rows), PANEL)
        )
    kept = 0
    for group in rows if rows.ndim == 3 else rows[None]:
        live = group[group.any(1)]
        for at in range(0, len(live), SLIVER):
            some = live[at : at + SLIVER]
            kept += len(some) * int(np.count_nonzero(some.any(0)))
    return kept


def sparse_rows(
    layout: Callable[[Any, Sig], str],
    kernels: Mapping[str, str],
    told: Callable[[Any, Sig], Mapping[str, Any]],
    rows: Callable[[Any, Array], Array],
    strided: bool = False,
) -> tuple[Kernel, ...]:
    """A forward row for each layout; `rows` of (attributes, weight) as `stored` wants it."""

    def row(name: str, symbol: str) -> Kernel:
        return Kernel(
            "cpu",
            "forward",
            symbol,
            attrs=told,
            when=lambda a, s: layout(a, s) == name,
            packs=(Pack("weight", f"{symbol}_pack"),),
            strided=strided,
            fuses=("relu", "residual"),
            stores=lambda a, weight: stored(name, rows(a, weight)),
        )

    return tuple(row(name, symbol) for name, symbol in kernels.items())


__all__ = ["COMPACT", "CONV_MODES", "DENSE_CONV", "DENSE_PRODUCT", "GEMM_MODES", "IMAGE_LAYOUTS"]
__all__ += ["PANELS", "PRODUCT_LAYOUTS", "SPARSE", "check_mode", "image_layout", "product_layout"]
__all__ += ["sparse_rows", "stored"]
