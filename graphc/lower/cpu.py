"""Lower a graph for the C++ core: float32, kernels where there are any, else host steps.

Images are plain (N, C, H, W) or channel-blocked, region by region, as what is measured or estimated
of kernels and reorders says.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from graphc import _core
from graphc.config import Config
from graphc.costs import Costs, known_costs
from graphc.ir.graph import Graph, Value
from graphc.lower._buffers import given_values, program_of, weight_gradients, with_fastest
from graphc.lower._choices import Choices, choices_text, key_of, read_choices
from graphc.lower._cost import costs_of
from graphc.lower._draft import ADDEND, Draft, read_backward
from graphc.lower._early_sums import sum_early
from graphc.lower._exchange import exchange
from graphc.lower._formats import Formats
from graphc.lower._fuse import fuse
from graphc.lower._fuse_scale import fuse_scale
from graphc.lower._kernels import with_kernels
from graphc.lower._placement import placed_in
from graphc.lower._problem import Problem
from graphc.lower._rows import Rows, without_views
from graphc.lower._select import price_of, select
from graphc.lower._sums import accumulate
from graphc.lower._trace import trace
from graphc.lower._updates import Told, absorb_updates, update_early
from graphc.ops.kernel import Cost
from graphc.pauses import uncollected
from graphc.program import Link, Program


def lower(
    graph: Graph,
    pinned: Collection[Value] = (),
    threads: int = 1,
    costs: Costs | None = None,
    repeatable: bool = False,
    fused_update: bool = True,
    deterministic: bool = False,
) -> Program:
    """The Program of a shaped graph, see `lower_again`."""
    return lower_again(graph, pinned, threads, costs, repeatable, fused_update, deterministic)[0]


@uncollected
def lower_again(
    graph: Graph,
    pinned: Collection[Value] = (),
    threads: int = 1,
    costs: Costs | None = None,
    repeatable: bool = False,
    fused_update: bool = True,
    deterministic: bool = False,
    known: Choices | None = None,
    pin_variants: bool = False,
) -> tuple[Program, Choices]:
    """The Program of a shaped graph, and what was chosen for it; entries "prepare" (packs weights),
    "forward" and, where there are gradient nodes, "backward", and "update".

    `pinned`: values that must hold until their entry ends, beside the net's outputs. Net inputs
    are buffers that somebody fills before; data layers and layers without a kernel are host steps.
    `costs` None: what was measured on this machine, else the shipped table. `repeatable`: backward
    leaves what the forward made, and can run again. `fused_update`: parameters are updated in the
    backward, as soon as that is right. `deterministic`: no sum is split by threads. `known`:
    choices of before, which are made again if they rest on the same. `pin_variants`: each call has
    but its fastest kernel, so that no plan can choose another. Raises GC-O001 for a declaration
    that contradicts itself or its kernel.
    """
    kept = {*graph.outputs, *pinned}
    drafts, rows = _fused(graph, kept, threads, fused_update, deterministic)
    # kernels round differently: which are chosen must then not depend on threads either
    costs = known_costs(1 if deterministic else threads) if costs is None else costs
    price = price_of(graph, costs, rows)
    given = set(given_values(graph))
    key = key_of(drafts, given | kept, costs, threads)
    before = known.drafts if known is not None and known.key == key else None
    asked, drafts = drafts, select(drafts, rows, price, given | kept, before)
    lasting = read_backward(drafts) if repeatable else set()
    placed, storage = placed_in(drafts, rows.formats, rows.accepts, given, kept | lasting)
    program = program_of(
        "cpu",
        graph,
        placed,
        storage,
        pinned=kept,
        lasting=lasting,
        variants=lambda draft: (),
    )
    program = with_kernels(program, placed, graph, rows, price, threads)
    program = replace(program, link=Link(*costs.link(Config.load().host is not None)))
    if pin_variants:
        program = with_fastest(program)
    return program, Choices(key, tuple(map(rows.chosen, asked)))


def problems(
    graph: Graph, pinned: Collection[Value] = (), threads: int = 1
) -> dict[str, tuple[Problem, Cost]]:
    """All that kernels might be told in lowering the graph, by key, and what they then compute and
    move: what is worth measuring."""
    drafts, rows = _fused(graph, {*graph.outputs, *pinned}, threads)
    cost_of = costs_of(graph)
    found: dict[str, tuple[Problem, Cost]] = {}
    for draft in drafts:
        if not draft.aliases:
            for candidates in rows.problems(draft).values():
                for row, problem in (c for c in candidates if c[0].stores is None):
                    found[problem.key] = problem, rows.cost(draft, row) or cost_of(draft)
    return found


def _fused(
    graph: Graph,
    kept: Collection[Value],
    threads: int,
    fused_update: bool = True,
    deterministic: bool = False,
) -> tuple[list[Draft], Rows]:
    def fits(problem: Problem) -> bool:
        told = dict(problem.attrs)
        return _core.kernel_fits(problem.symbol, *problem.specs, told, threads)

    formats = Formats(_core.channel_block(), weight_gradients(graph))
    rows = Rows(graph, "cpu", _core.kernel_symbols(), formats, fits, deterministic)
    drafts = without_views(trace(graph, rows.sigs), rows)
    drafts = exchange(drafts, graph, kept, rows.is_plain)
    drafts = sum_early(drafts, graph, rows.sigs, rows.is_plain)
    drafts, told = fuse(drafts, rows, kept)
    drafts, scaled = fuse_scale(drafts, rows, kept)
    drafts = accumulate(drafts, kept, rows.can_add)
    updates: Told = {}
    drafts = update_early(drafts, fused_update)
    if fused_update:
        drafts, updates = absorb_updates(drafts, rows, kept)
    rows.tell({**told, **scaled, **updates})
    return drafts, rows


__all__ = [
    "ADDEND",
    "Choices",
    "choices_text",
    "lower",
    "lower_again",
    "problems",
    "read_choices",
]
