"""The text form of a graph: prints, and parses to the same graph. Weights are not part of it.

    graphc 1
    net "tiny" phase=TEST file="tiny.prototxt"

    layer "data" Input line=2
      attr shape=(BlobShape(dim=(1, 4)))
      top y0 "data" f32[1,4]

    layer "ip" InnerProduct line=3
      attr num_output=2
      in x "data"
      param weight "ip:weight" f32[2,4] out_axis=0 in_axis=1
      top y "ip" f32[1,2]

    output "ip"

A value is stated once, with its type, where it is made or first used; `free` states one that no
node makes, such as the seed of a gradient. `grad` and `update` begin nodes of these roles; the
table of layer types does not know the types of the latter. What equals its default is left out.
What may stand after `=` is told in `graphc.ir.literals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphc.errors import GraphError, fail
from graphc.ir.graph import Graph, Node, Value
from graphc.ir.literals import literal, quoted, shown_fields, word
from graphc.ir.op import Kind
from graphc.ir.text_parser import HEADERS, VERSION, parse_graph, tables_of
from graphc.ir.text_values import default_spec


def print_graph(graph: Graph, *, places: bool = True) -> str:
    """The text form of `graph`; without `places`, no source files and lines.

    Raises GC-V001 for what has no text form: an attribute of a strange kind, or a gradient node
    whose forward node is gone.
    """
    return "".join(f"{line}\n" for line in _Printer(graph, places).lines())


class _Printer:
    """`stated`: values whose name the text has told so far; `made`: those that some node makes."""

    def __init__(self, graph: Graph, places: bool) -> None:
        self.graph = graph
        self.places = places
        self.stated: set[Value] = set()
        self.made = {v for node in graph.nodes for v in node.outs.values()}
        self.index = {node: i for i, node in enumerate(graph.forward_nodes())}

    def lines(self) -> Iterator[str]:
        graph = self.graph
        yield f"graphc {VERSION}"
        head = [("phase", str(graph.phase))]
        head += [("level", literal(graph.level))] if graph.level else []
        head += [("stages", literal(graph.stages))] if graph.stages else []
        head += [("force_backward", "true")] if graph.force_backward else []
        head += [("fixed_size", "true")] if graph.fixed_size else []
        head += [("file", quoted(graph.file))] if graph.file and self.places else []
        yield " ".join([f"net {quoted(graph.name)}", *(f"{k}={v}" for k, v in head)])
        for node in graph.nodes:
            yield ""
            yield from self._free(self._before(node))
            try:
                yield from self._node(node)
            except GraphError as error:
                raise node.located(error) from None
        yield ""
        for what, table in tables_of(graph).items():
            yield from self._free(table.values())
            for name, value in table.items():
                yield f"{what} {quoted(name)} {quoted(value.name)}"
        yield from self._free(graph.outputs)
        yield from (f"output {quoted(value.name)}" for value in graph.outputs)

    def _before(self, node: Node) -> Iterator[Value]:
        """Values `node` refers to that its own lines do not state."""
        yield from node.ins.values()
        for value in node.params.values():
            if value.view_of is not None and value.view_of not in node.params.values():
                yield value.view_of

    def _free(self, values: Iterable[Value]) -> Iterator[str]:
        for value in values:
            if value not in self.stated and value not in self.made:
                yield f"free {self._state(value, Kind.ACT, '')}"

    def _node(self, node: Node) -> Iterator[str]:
        yield self._header(node)
        for name, text in shown_fields(node.attrs):
            yield f"  attr {name}={text}"
        for role, value in node.ins.items():
            yield f"  in {word(role)} {quoted(value.name)}"
        for role, value in node.params.items():
            yield f"  param {word(role)} {self._state(value, Kind.PARAM, role)}"
        for spec in node.specs:
            yield " ".join(["  spec", *(f"{k}={v}" for k, v in shown_fields(spec))])
        for role, value in node.outs.items():
            what = "top" if role in node.tops else "aux"
            yield f"  {what} {word(role)} {self._state(value, Kind.ACT, role)}"
        for role, weight in node.loss.items():
            yield f"  loss {word(role)} {literal(weight)}"
        if node.propagate:
            yield f"  propagate {literal(node.propagate)}"

    def _header(self, node: Node) -> str:
        words = [HEADERS[node.role], quoted(node.name), word(node.op.type)]
        if node.of is not None:
            if node.of not in self.index:
                fail(
                    "GC-V001", f"the forward node {node.of.name!r} of {node!r} is not in the graph"
                )
            words.append(f"of={self.index[node.of]}")
        if node.part:
            words.append(f"part={quoted(node.part)}")
        if node.samples is not None:
            words.append(f"samples={literal(node.samples)}")
        if node.phase != self.graph.phase:
            words.append(f"phase={node.phase}")
        if node.loc is not None and self.places:
            words += [f"file={quoted(node.loc.file)}"] if node.loc.file != self.graph.file else []
            words.append(f"line={node.loc.line}")
        return " ".join(words)

    def _state(self, value: Value, usual: Kind, role: str) -> str:
        """The value's name and, the first time, all that is to be said of it."""
        words = [quoted(value.name)]
        if value in self.stated:
            return words[0]
        self.stated.add(value)
        if value.type is not None:
            words.append(str(value.type))
        if value.kind is not usual:
            words.append(f"kind={value.kind.name}")
        if value.kind is not Kind.ACT:
            words += self._parameter(value, role)
        return " ".join(words)

    def _parameter(self, value: Value, role: str) -> Iterator[str]:
        if value.view_of is not None:
            yield f"view_of={quoted(value.view_of.name)}"
        for name in ("lr_mult", "decay_mult"):
            if literal(getattr(value, name)) != "1.0":
                yield f"{name}={literal(getattr(value, name))}"
        if value.spec is None:
            yield "spec=none"
            return
        usual, spec = default_spec(value, role), replace(value.spec, kind=Kind.PARAM)
        for name in ("name", "shape", "filler", "out_axis", "in_axis"):
            text = literal(getattr(spec, name))
            if text != literal(getattr(usual, name)):
                yield f"{name}={text}"


__all__ = ["parse_graph", "print_graph"]
