"""Lower a graph for a GPU: float32, dense (N, C, H, W), CUDA kernels where there are any, else
host steps.

Every call that a raw kernel can do has that as a variant; for dense products a library's table may
offer others. Nothing here needs a GPU.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from graphc.cuda.calls import COPY, spec, work_of
from graphc.cuda.variants import Use, Variants, raw_alone
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Effect
from graphc.lower._buffers import given_values, program_of, weight_gradients, with_fastest
from graphc.lower._cost import H200, Roofline, costs_of
from graphc.lower._cuda_rows import CudaRows, has_kernels
from graphc.lower._draft import Draft, read_backward
from graphc.lower._early_sums import sum_early
from graphc.lower._exchange import exchange
from graphc.lower._formats import Formats
from graphc.lower._placement import placed_in
from graphc.lower._rows import without_views
from graphc.lower._sums import accumulate
from graphc.lower._trace import trace
from graphc.lower._updates import update_early
from graphc.ops.kernel import Cost
from graphc.pauses import uncollected
from graphc.program import HOST, Call, Link, Program, Variant

ALIGN = 256
"""Bytes: what cudaMalloc aligns to, and the widest loads want."""
PCIE = Link(50e9, 10.0, "PCIe 5.0 x16")
PRODUCTS = frozenset(
    {"conv", "deconv", "conv_depthwise", "conv_dweight"}
    | {"inner_product", "inner_product_packed", "inner_product_dx", "inner_product_dweight"}
)
"""Symbols of rows that a library may do as well."""
RAW = replace(H200, flops=1e12)
"""Raw products are written as they are defined: this is an estimate, and nobody measured it."""


@uncollected
def lower(
    graph: Graph,
    pinned: Collection[Value] = (),
    *,
    repeatable: bool = False,
    fused_update: bool = True,
    deterministic: bool = False,
    pin_variants: bool = False,
    variants: Variants = raw_alone,
) -> Program:
    """The Program of a shaped graph; entries "forward" and, where there are gradient nodes,
    "backward", and "update".

    `pinned`, `repeatable`, `fused_update`, `pin_variants`: as in `graphc.lower.cpu.lower_again`;
    `deterministic`: without kernels that give other bits in another run. `variants`: what a library
    offers. Weights are read as they are, so that nothing prepares them. Raises GC-O001 for a
    declaration that contradicts itself.
    """
    kept = {*graph.outputs, *pinned}
    given = set(given_values(graph))
    rows = CudaRows(graph, Formats(0, weight_gradients(graph)))
    drafts = without_views(trace(graph, rows.sigs), rows)
    drafts = exchange(drafts, graph, kept, rows.is_plain)
    drafts = sum_early(drafts, graph, rows.sigs, rows.is_plain)
    drafts = accumulate(drafts, kept, rows.can_add)
    drafts = update_early(drafts, fused_update)
    lasting = read_backward(drafts) if repeatable else set()
    placed, forest = placed_in(drafts, rows.formats, rows.accepts, given, kept | lasting)
    program = program_of(
        "cuda",
        graph,
        placed,
        forest,
        pinned=kept,
        lasting=lasting,
        variants=lambda draft: (),
        align=ALIGN,
    )
    kernels = _Kernels(program, graph, rows, variants, deterministic)
    calls = tuple(kernels.call(c, d) for c, d in zip(program.calls, placed, strict=True))
    program = replace(program, calls=calls, link=PCIE)
    return with_fastest(program) if pin_variants else program


class _Kernels:
    """Gives calls their variants and what kernels are told."""

    def __init__(
        self,
        program: Program,
        graph: Graph,
        rows: CudaRows,
        variants: Variants,
        deterministic: bool,
    ) -> None:
        self.program, self.rows, self.variants = program, rows, variants
        self.deterministic, self.cost_of = deterministic, costs_of(graph)

    def call(self, call: Call, draft: Draft) -> Call:
        if draft.mover:
            return self._raw(call, COPY, draft)
        row = next(iter(self.rows.of(draft)), None)
        if row is None:
            return replace(call, variants=(self._host(draft),))
        told = replace(call, attrs=dict(self.rows.problem(draft, row).attrs))
        return self._raw(told, row.symbol, draft)

    def _raw(self, call: Call, symbol: str, draft: Draft) -> Call:
        """The call with its raw kernel, and what libraries offer."""
        roof, cost = RAW if symbol in PRODUCTS else H200, self.cost_of(draft)
        workspace = _rounded(work_of(self.program, call, symbol).workspace)
        found = [Variant(symbol, workspace, roof.microseconds(cost))]
        for offer in self.variants(self._use(call, symbol)) if symbol in PRODUCTS else ():
            if offer.deterministic or not self.deterministic:
                own = _rounded(offer.workspace), offer.us, offer.deterministic, offer.basis
                found.append(Variant(offer.key, *own))
        return replace(call, variants=tuple(found))

    def _use(self, call: Call, symbol: str) -> Use:
        sides = (
            tuple(spec(self.program.buffers[o.buffer]) for o in operands)
            for operands in (call.reads, call.writes)
        )
        told: Sequence[tuple[str, Any]] = sorted(call.attrs.items())
        return Use(symbol, tuple(told), *sides)

    def _host(self, draft: Draft) -> Variant:
        """A host step: everything goes to the host and back; data layers read nothing."""
        cost = self.cost_of(draft)
        reads = 0 if Effect.SOURCE in draft.effects else cost.read
        moved = PCIE.microseconds(reads) + PCIE.microseconds(cost.write)
        return Variant(HOST, est_us=moved + ONE_CORE.microseconds(Cost(cost.macs, reads, 0)))


ONE_CORE = Roofline(flops=2e9, bandwidth=2e9, start_us=50.0)
"""A reference in float64."""


def _rounded(nbytes: int) -> int:
    return -(-nbytes // ALIGN) * ALIGN


__all__ = ["ALIGN", "PCIE", "PRODUCTS", "has_kernels", "lower"]
