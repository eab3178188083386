"""fold_constants: what no input has a part in is computed once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import cast

from graphc.ir.edit import erase, needed_names, set_params
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ir.op import Effect, Filler, Trait
from graphc.ops._blob_shape import BlobShape
from graphc.ops.dummy_data import DummyData, DummyDataAttrs
from graphc.ops.parameter import Parameter, ParameterAttrs
from graphc.ops.spec import OpSpec
from graphc.passes._folding import OFF
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record

MAX_BYTES = 1 << 26
"""The largest result that is stored in place of what computes it."""


@record(frozen=True)
class FoldConstants(Pass):
    """Compute what depends on parameters and constant fillers alone, and keep the result.

    Starting points are layers without bottoms that have no effect (Parameter) and DummyData with
    constant fillers. The last layer of what follows from them becomes a Parameter that holds the
    result. What follows from DummyData becomes DummyData, which a new batch size can still be given
    to, and so only where all elements are equal; with `fixed_batch` else a Parameter too.

    Conditions: no effects or loss weights; one top each; at most 64 MiB. Off with gradients.
    """

    name = "fold_constants"
    fixed_batch: bool = False

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        constant = self._constants(graph)
        needed = needed_names(graph, ctx.pinned)
        wanted = _read_outside(graph, constant, needed)
        if not wanted:
            return Report(self.name)
        arrays = ctx.run(_part(graph, constant, wanted), {})
        made: dict[Node, tuple[Node, Array]] = {}
        detail: list[str] = []
        for node in wanted:
            array = arrays[_top(node).name]
            found = _expressed(node, array, constant[node] and not self.fixed_batch)
            if found is None:
                detail.append(f"{node.name} stays: its batch size may change")
            else:
                made[node] = found, array
                detail.append(f"{node.name} ({node.op.type}) is constant: {found.op.type}")
        if made:
            _put(graph, constant, made, needed)
        return Report(self.name, bool(made), tuple(detail))

    def _constants(self, graph: Graph) -> dict[Node, bool]:
        """Layers with constant tops; does axis 0 of theirs follow a batch size?"""
        found: dict[Node, bool] = {}
        for node in graph.forward_nodes():
            makers = [value.producer for value in node.ins.values()]
            known = [found[maker] for maker in makers if maker in found]
            if len(known) < len(makers) or not _is_plain(node):
                continue
            op = cast("type[OpSpec]", node.op)
            if op is DummyData:
                if all(filler.type == "constant" for filler in node.attrs.data_filler):
                    found[node] = True
            elif not op.effects & {Effect.SOURCE, Effect.SINK} and not node.has(Trait.FEED):
                keeps_batch = Trait.BATCH_SEPARABLE in op.traits_of(node.attrs, node.sig(graph.env))
                if keeps_batch or self.fixed_batch or not any(known):
                    found[node] = any(known)
        return found


def _is_plain(node: Node) -> bool:
    """Is all that the layer does one top, no larger than what may be stored?"""
    if len(node.tops) != 1 or node.phase != "TEST" or any(node.loss.values()):
        return False
    if any(value.view_of is not None for value in node.params.values()):
        return False
    calls = cast("type[OpSpec]", node.op).forwards(node.attrs, node.sig())
    is_pure = not any(call.effects for call in calls)
    return is_pure and all(node.propagate) and typed(_top(node)).nbytes <= MAX_BYTES


def _read_outside(
    graph: Graph, constant: Mapping[Node, bool], needed: Collection[str]
) -> list[Node]:
    """Layers that compute a constant from others, for a layer that is none or for the caller."""
    outside = {v for n in graph.nodes if n not in constant for v in n.ins.values()}
    return [n for n in constant if n.ins and (_top(n) in outside or _top(n).name in needed)]


def _part(graph: Graph, nodes: Iterable[Node], wanted: Iterable[Node]) -> Graph:
    """The graph of some nodes alone; shares their values and weights."""
    nodes = list(nodes)
    used = {value.name for node in nodes for value in node.params.values()}
    weights = {name: array for name, array in graph.weights.items() if name in used}
    return replace(graph, nodes=nodes, outputs=[_top(n) for n in wanted], weights=weights)


def _expressed(node: Node, array: Array, follows_batch: bool) -> Node | None:
    """A layer of stock Caffe's that makes `array` in place of `node`, without parameters yet."""
    top, shape = _top(node), BlobShape(array.shape)
    if not follows_batch:
        return Node(Parameter, node.name, ParameterAttrs(shape), {}, {"y": top}, loc=node.loc)
    if not array.size or not (array == array.flat[0]).all():
        return None
    told = DummyDataAttrs((Filler(value=float(array.flat[0])),), shape=(shape,))
    return Node(DummyData, node.name, told, {}, {"y0": top}, loc=node.loc)


def _put(
    graph: Graph,
    constant: Mapping[Node, bool],
    made: Mapping[Node, tuple[Node, Array]],
    needed: Collection[str],
) -> None:
    """Put what was made in its places, and take out what is then read by nobody."""
    live: set[Value] = set()
    dead: set[Node] = set()
    for node in reversed(graph.nodes):
        is_read = _top(node) in live or _top(node).name in needed if node in constant else True
        if node in made or not is_read:
            dead.add(node)
        else:
            live.update(node.ins.values())
    graph.nodes = [made[n][0] if n in made else n for n in graph.nodes]
    erase(graph, dead)
    names = Names.of(graph)
    for node, array in made.values():
        if node.op is Parameter:
            set_params(graph, names, node, {"weight": array})


def _top(node: Node) -> Value:
    return node.outs[node.tops[0]]
