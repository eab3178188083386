"""Build the graph of a net definition: layers to nodes, blobs to single-assignment values.

Types and parameters come later (`graphc.ir.infer`). Linear in the size of the net.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphc.data.wire_writer import chunk
from graphc.errors import GraphError, fail
from graphc.front.attrs import decode
from graphc.front.caffemodel import LAYER, read_layers
from graphc.front.definition import Definition
from graphc.front.leftovers import check_net
from graphc.front.rules import filter_layers, phase_of
from graphc.ir.graph import Graph, Node, ParamSpec, Value, near
from graphc.ir.names import Names
from graphc.ir.op import Op, Trait
from graphc.ir.types import Phase
from graphc.ir.versions import version_of
from graphc.limits import Limits
from graphc.ops import registry

_NEAR = 2_000  # blobs to compare an unknown name with


def build(
    source: Definition,
    *,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
    base: Path | None = None,
    limits: Limits | None = None,
) -> Graph:
    """The graph of an upgraded definition, in the given state and without types.

    The definition's own stages count beside `stages`; its phase and level do not. Raises GC-N00x,
    GC-U001, GC-P001 with file, line and layer.
    """
    limits = limits or Limits()
    net = source.net
    graph = Graph(
        name=net.name,
        phase=phase,
        level=level,
        stages=(*net.state.stage, *stages),
        force_backward=net.force_backward,
        file=source.file,
        base=base,
        limits=limits,
        notes=source.notes,
    )
    check_net(net, graph.notes)
    limits.check("layers", len(net.layer), "the number of layers")
    kept = filter_layers(source, phase, level, graph.stages)
    builder = _Builder(graph, source, {index for index, _ in kept})
    for index, layer in kept:
        try:
            builder.add(index, layer)
        except GraphError as error:
            raise source.located(error, index, layer) from None
    builder.finish()
    return graph


class _Builder:
    """What is known after each layer: the versions of every blob, and who was read."""

    def __init__(self, graph: Graph, source: Definition, kept: set[int]) -> None:
        self.graph = graph
        self.source = source
        self.kept = kept
        self.current = -1
        self.versions: dict[str, list[Value]] = {}
        self.hidden: list[tuple[Value, str]] = []
        self.read: set[Value] = set()
        self.weighted: list[Node] = []  # with loss weights as written

    def add(self, index: int, layer: Any) -> None:
        """Append the node of one layer."""
        self.current = index
        if not layer.type:
            fail("GC-N001", "the layer has no type", 'add a line such as type: "ReLU"')
        op, notes = registry.find(layer.type), list[str]()
        attrs = decode(op, layer, notes)
        self.graph.notes.extend(f"layer {layer.name!r}: {note}" for note in notes)
        hidden = not layer.top and Trait.LOSS in op.traits
        ins, tops = op.roles(attrs, len(layer.bottom), len(layer.top) or int(hidden))
        if layer.propagate_down and len(layer.propagate_down) != len(ins):
            fail(
                "GC-N005",
                f"{len(layer.propagate_down)} propagate_down entries for {len(ins)} bottoms",
            )
        node = Node(
            op=op,
            name=layer.name,
            attrs=attrs,
            ins=dict(zip(ins, map(self._bottom, layer.bottom, range(len(ins))), strict=True)),
            outs=dict(zip(tops, self._tops(layer, hidden), strict=True)),
            phase=phase_of(layer) if layer.HasField("phase") else self.graph.phase,
            specs=tuple(map(_spec, layer.param)),
            loss=_loss(op, layer, tops),
            propagate=tuple(layer.propagate_down),
            loc=self.source.loc(index),
        )
        self.read.update(node.ins.values())
        if layer.loss_weight:
            self.weighted.append(node)
        if layer.blobs:
            self._embedded(layer)
        self.graph.nodes.append(node)

    def _bottom(self, name: str, position: int) -> Value:
        if name not in self.versions:
            fail(
                "GC-N002",
                f"bottom {position} is {name!r}, which no layer before makes",
                self._missing(name),
            )
        return self.versions[name][-1]

    def _missing(self, name: str) -> str:
        """Where a blob is made instead, or what is called much like it."""
        if name in self.source.dropped:
            return f"the net input {name!r} has no shape; add an input_shape"
        graph = self.graph
        state = f"phase {graph.phase}, level {graph.level}, stages {list(graph.stages)}"
        for index, layer in enumerate(self.source.net.layer):
            if name in layer.top and index != self.current:
                why = "not before this one" if index in self.kept else f"is left out for {state}"
                return f"layer {layer.name!r} ({self.source.loc(index)}) makes it, but {why}"
        return near(name, list(self.versions)[-_NEAR:])

    def _tops(self, layer: Any, hidden: bool) -> list[Value]:
        """New values for a layer's tops; the same name in the same place is a new version."""
        if hidden:
            value = Value("")
            self.hidden.append((value, layer.name))
            return [value]
        made: dict[str, Value] = {}
        for position, name in enumerate(layer.top):
            in_place = position < len(layer.bottom) and layer.bottom[position] == name
            if name in made or (name in self.versions and not in_place):
                older = "this layer" if name in made else f"layer {self._maker(name)!r}"
                fail("GC-N003", f"top {position} is {name!r}, which {older} makes already")
            made[name] = Value(name)
        for name, value in made.items():
            self.versions.setdefault(name, []).append(value)
        return list(made.values())

    def _maker(self, blob: str) -> str:
        return _maker(self.versions[blob][-1])

    def _embedded(self, layer: Any) -> None:
        """Keep the blobs that the definition itself carries for the binding of parameters."""
        if layer.name in self.graph.pending:
            fail("GC-U001", f"two layers called {layer.name!r} carry blobs", "rename one of them")
        message = chunk(LAYER, layer.SerializePartialToString())
        found = read_layers(memoryview(message), self.graph.limits)
        self.graph.pending[layer.name] = found[0].blobs

    def finish(self) -> None:
        """Settle loss weights, names and outputs."""
        outputs = [v[-1] for v in self.versions.values() if v[-1] not in self.read]
        for node in self.weighted:
            # Caffe splits such a top and clears the weights of the layer that made it.
            used = [role for role in node.loss if node.outs[role] in self.read]
            if used:
                for role in node.loss.keys() - set(used):
                    lost, read = node.outs[role].name, node.outs[used[0]].name
                    self.graph.notes.append(
                        f"layer {node.name!r}: the loss weight of {lost!r} is lost, as in Caffe, "
                        f"because {read!r} has one too and is read by a layer"
                    )
                node.loss = {role: node.loss[role] for role in used}
                outputs += [node.outs[role] for role in used]
        self._name()
        self.graph.outputs = sorted(outputs, key=lambda value: value.name)

    def _name(self) -> None:
        """Call earlier versions `blob@layer` and hidden tops `layer:role`, unlike all others."""
        names = Names(self.versions)
        for blob, values in self.versions.items():
            for value in values[:-1]:
                value.name = names.fresh(f"{blob}@{_maker(value)}")
            maker = values[-1].producer
            if maker is not None and version_of(blob, maker.name):
                told = f"top {blob!r} ends like graphc's name of a version written in place"
                hint = f"leave out the {'@' + maker.name!r} at its end"
                raise maker.located(GraphError("GC-U001", told, hint))
        for value, layer in self.hidden:
            role = value.producer.tops[0] if value.producer is not None else "y"
            value.name = names.fresh(f"{layer}:{role}")


def _maker(value: Value) -> str:
    return value.producer.name if value.producer is not None else ""


def _loss(op: type[Op], layer: Any, tops: tuple[str, ...]) -> dict[str, float]:
    """Loss weights by top role; those that are 0 are left out."""
    if not layer.loss_weight:
        return {tops[0]: 1.0} if Trait.LOSS in op.traits and tops else {}
    if len(layer.loss_weight) != len(tops):
        fail("GC-N005", f"{len(layer.loss_weight)} loss_weight entries for {len(tops)} tops")
    return {role: w for role, w in zip(tops, layer.loss_weight, strict=True) if w}


def _spec(message: Any) -> ParamSpec:
    modes = message.DESCRIPTOR.enum_types_by_name["DimCheckMode"].values_by_number
    return ParamSpec(
        name=message.name,
        share_mode=modes[message.share_mode].name,
        lr_mult=message.lr_mult if message.HasField("lr_mult") else None,
        decay_mult=message.decay_mult if message.HasField("decay_mult") else None,
    )


__all__ = ["build"]
