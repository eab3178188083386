"""to_prototxt: a Graph as prototxt text that reads back to an equal Graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from graphc.errors import GraphError, fail
from graphc.front.attrs import encode
from graphc.front.blobs import blob_names, hidden_tops
from graphc.front.printer import print_message
from graphc.front.schema import schema_for
from graphc.ir.graph import Graph, Node, ParamSpec, Value
from graphc.ir.names import Names
from graphc.ir.op import Trait
from graphc.ops._blob_shape import BlobShape
from graphc.ops._sparse import plain
from graphc.ops.input import Input
from graphc.ops.silence import Silence


def to_prototxt(graph: Graph, *, modes: bool = True) -> str:
    """The forward layers of `graph` as a NetParameter in text form.

    Phase rules have been applied already, so a layer states its phase only where it is not the
    net's. What passes did to the graph stands in comments at the top. Without `modes`, layers do
    not say how their weights are laid out, for which only forks have fields. Raises GC-N008 and
    GC-O001 for attributes that the layer's message cannot hold.
    """
    return "".join(f"{line}\n" for line in Exporter(graph, modes=modes).lines())


class Exporter:
    """The layers of one graph as LayerParameter messages."""

    def __init__(self, graph: Graph, *, modes: bool = True) -> None:
        self.graph, self.modes = graph, modes
        self.names, self.hidden = blob_names(graph), hidden_tops(graph)
        self.schema = schema_for({node.op for node in graph.forward_nodes()})
        self.read = {v for n in graph.forward_nodes() for v in n.ins.values()}
        self.shared = _unnamed_shares(graph)

    def lines(self) -> Iterator[str]:
        graph = self.graph
        for record in graph.history:
            if record.changed:
                yield " ".join(f"# {record.name}: {'; '.join(record.detail)}".split())
        net = self.schema.new("NetParameter")
        if graph.name:
            net.name = graph.name
        if graph.force_backward:
            net.force_backward = True
        net.state.stage.extend(graph.stages)
        if not graph.stages:
            net.ClearField("state")
        yield from print_message(net)
        for node in graph.forward_nodes():
            yield from print_message(self.layer(node), "layer")
        yield from self._silence()

    def _silence(self) -> Iterator[str]:
        """A layer that reads what nobody reads and is no output, lest it become one."""
        outputs, nodes = set(self.graph.outputs), list(self.graph.forward_nodes())
        loose = [
            self.names[node.outs[role]]
            for node in nodes
            for role in node.tops
            if node.outs[role] not in self.read | outputs | self.hidden
        ]
        if not loose:
            return
        layer = self.schema.new("LayerParameter")
        layer.name, layer.type = Names(node.name for node in nodes).fresh("silence"), Silence.type
        layer.bottom.extend(loose)
        yield from print_message(layer, "layer")

    def layer(self, node: Node) -> Any:
        """The message of a forward node. Raises GC-N008, GC-O001."""
        try:
            return self._layer(node)
        except GraphError as error:
            raise node.located(error) from None
        except (ValueError, TypeError) as error:  # a string that is no text, a wild number
            raise node.located(GraphError("GC-N008", str(error))) from None

    def _layer(self, node: Node) -> Any:
        layer = self.schema.new("LayerParameter")
        layer.name, layer.type = node.name, node.op.type
        layer.bottom.extend(self.names[v] for v in node.ins.values())
        tops = [node.outs[role] for role in node.tops]
        layer.top.extend(self.names[v] for v in tops if v not in self.hidden)
        layer.loss_weight.extend(self._loss_weights(node))
        for spec in self._specs(node):
            _write_spec(spec, layer.param.add())
        if node.phase != self.graph.phase:
            field = layer.DESCRIPTOR.fields_by_name["phase"]
            layer.phase = field.enum_type.values_by_name[node.phase].number
        layer.propagate_down.extend(node.propagate)
        attrs = _stated(node)
        encode(node.op, attrs if self.modes else plain(attrs), layer)
        return layer

    def _loss_weights(self, node: Node) -> list[float]:
        """One weight per top where they are not what the layer has by itself.

        A top that is read by a layer is an output too if its weight is written out.
        """
        weights = [node.loss.get(role, 0.0) for role in node.tops]
        usual = [0.0] * len(weights)
        if Trait.LOSS in node.op.traits and usual:
            usual[0] = 1.0
        tops = [node.outs[role] for role in node.loss]
        is_written = any(v in self.read and v in self.graph.outputs for v in tops)
        return weights if weights != usual or is_written else []

    def _specs(self, node: Node) -> list[ParamSpec]:
        """The param entries; parameters that a pass has made shared get a name."""
        specs = list(node.specs)
        for index, value in enumerate(node.params.values()):
            if value.storage in self.shared:
                specs += [ParamSpec()] * (index + 1 - len(specs))
                share = "PERMISSIVE" if value.view_of is not None else specs[index].share_mode
                name = specs[index].name or value.storage.name
                specs[index] = replace(specs[index], name=name, share_mode=share)
        return specs


def _unnamed_shares(graph: Graph) -> set[Value]:
    """Storages that several layers use although no common name says so."""
    names: dict[Value, set[str]] = {}
    users: dict[Value, int] = {}
    for node in graph.forward_nodes():
        for index, value in enumerate(node.params.values()):
            owner = value.storage
            name = node.specs[index].name if index < len(node.specs) else ""
            names.setdefault(owner, set()).add(name)
            users[owner] = users.get(owner, 0) + 1
    return {v for v, count in users.items() if count > 1 and "" in names[v]}


def _stated(node: Node) -> Any:
    """The attributes; a net input states the shape it really has."""
    if node.op is not Input:
        return node.attrs
    types = [node.outs[role].type for role in node.tops]
    stated = node.attrs.shape * len(types) if len(node.attrs.shape) == 1 else node.attrs.shape
    real = tuple(BlobShape(t.shape) for t in types if t is not None)
    if len(real) < len(types) or real == stated:
        return node.attrs
    return replace(node.attrs, shape=real)


def _write_spec(spec: ParamSpec, message: Any) -> None:
    if spec.name:
        message.name = spec.name
    if spec.share_mode != "STRICT":
        modes = message.DESCRIPTOR.enum_types_by_name["DimCheckMode"].values_by_name
        if spec.share_mode not in modes:
            fail("GC-N008", f"param.share_mode is {spec.share_mode!r}", f"one of {list(modes)}")
        message.share_mode = modes[spec.share_mode].number
    if spec.lr_mult is not None:
        message.lr_mult = spec.lr_mult
    if spec.decay_mult is not None:
        message.decay_mult = spec.decay_mult


__all__ = ["Exporter", "to_prototxt"]
