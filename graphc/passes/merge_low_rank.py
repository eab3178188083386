"""merge_low_rank: the layers of a decomposition become the one layer they stand for."""

from __future__ import annotations

from graphc.factor.conv import Conv
from graphc.factor.decomposition import dense
from graphc.ir.graph import Graph
from graphc.ir.provenance import LayerChange
from graphc.passes._folding import OFF
from graphc.passes._low_rank.chain import put_layers
from graphc.passes._low_rank.choosing import matching, order_of
from graphc.passes._low_rank.families import Family, families
from graphc.passes._low_rank.layers import top
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class MergeLowRank(Pass):
    """Multiply the factors that low_rank made of a layer, which undoes it but for what it cut.

    They are found by their names (conv3_lowrank and conv3_linear become conv3) and by being a
    chain; W is the product of their weights, in float64 and rounded once. `layers`: patterns of
    the names that layers then have.

    Conditions: nothing else reads what lies between, nor is it kept; the weights are not shared.
    Off with gradients.
    """

    name = "merge_low_rank"
    layers: tuple[str, ...] = ()

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        found = families(graph)
        chosen = matching(self.layers, [f.stem for f in found], self.name) if self.layers else None
        taken = order_of(graph)
        wanted: dict[str, tuple[Family, Conv]] = {}
        changes: list[LayerChange] = []
        for family in found:
            if chosen is not None and not chosen(family.stem):
                continue
            paths = family.factors(graph)
            conv: Conv | str = dense(paths)
            between = [top(node).name for node in family.nodes if node is not family.last]
            kept = [name for name in between if name in ctx.pinned]
            if kept:
                conv = f"{kept[0]!r} is kept"
            elif family.stem in taken or family.stem in wanted:
                conv = f"there is a layer called {family.stem!r}"
            if isinstance(conv, str):
                changes.append(LayerChange(family.stem, "stays", conv))
                continue
            wanted[family.stem] = family, conv
            params = sum(f.conv.params for path in paths for f in path), conv.params
            names = ", ".join(node.name for node in family.nodes)
            changes.append(LayerChange(family.stem, "merged", names, params=params))
        put_layers(graph, wanted, ctx.pinned)
        return Report(self.name, bool(wanted), layers=tuple(changes))
