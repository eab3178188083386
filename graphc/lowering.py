"""Lowering: a graph, the Program it became and its Plan; what became of each layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import cast

from graphc.ir.graph import Graph, Node, Value
from graphc.ir.op import Kind, Trait
from graphc.ir.types import ITEM_BYTES
from graphc.lower._reorder import BLOCK, UNBLOCK
from graphc.ops.kernel import BLOCKED, PLAIN
from graphc.ops.spec import OpSpec
from graphc.ops.update.rule import gradient_of
from graphc.plan import Plan, Step
from graphc.program import Buffer, BufferKind, Call, Operand, Program, Variant
from graphc.records import record

REORDER = "reorder"
"""The part of a call that copies a value to its other format, and what is said for its type."""
MOVERS = frozenset({"copy", BLOCK, UNBLOCK})
"""Symbols of calls that move what a view could not stand for, or reorder."""
LEARNED = frozenset({BufferKind.PARAM, BufferKind.STATE, BufferKind.PACKED})


@record(frozen=True, slots=True)
class LayerViews:
    """A layer that is no call. `members`: values it reads or makes that lie in buffer `root`, and
    at which byte of it each begins."""

    node: Node
    root: str
    members: tuple[tuple[str, int], ...]


@record(frozen=True)
class Lowering:
    """`graph` is the one whose nodes the Program's calls number."""

    graph: Graph
    program: Program
    plan: Plan

    def steps(self, entry: str) -> tuple[Step, ...]:
        first, past = self.plan.entries.get(entry, (0, 0))
        return self.plan.steps[first:past]

    def call(self, step: Step) -> Call:
        return self.program.calls[step.call]

    def variant(self, step: Step) -> Variant:
        return self.call(step).variants[step.variant]

    def node(self, call: Call) -> Node | None:
        """The layer behind a call, or the gradient's node; None for packing."""
        return self.graph.nodes[call.node] if call.node >= 0 else None

    def type(self, call: Call) -> str:
        """The type of a call's layer; "reorder" if it only copies for one, "" for packing."""
        if call.part == REORDER:
            return REORDER
        node = self.node(call)
        return "" if node is None else node.op.type

    def is_learned(self, operand: Operand) -> bool:
        """Is it a weight or statistic, packed or not, rather than an activation?"""
        return self.program.root(operand.buffer).kind in LEARNED

    def macs(self, call: Call) -> int:
        """Multiply-adds of a call; those of its layer, or none if it only moves or packs."""
        node = self.node(call)
        if node is None or call.variants[0].symbol in MOVERS:
            return 0
        owner = node.of or node
        op = cast("type[OpSpec]", owner.op)
        return op.macs(owner.attrs, gradient_of(call.part), owner.sig(self.graph.env))

    def moved(self, call: Call) -> int:
        """Bytes of the elements that a call reads and writes, each buffer once per side."""
        sides = ({o.buffer for o in call.reads}, {o.buffer for o in call.writes})
        return sum(_nbytes(self.program.buffers[buffer]) for side in sides for buffer in side)

    def fused(self, call: Call) -> tuple[Node, ...]:
        """Nodes whose work a call does beside its own, in the graph's order.

        They lie between the call's node and what it writes, or, of gradients, before that node;
        what is handed on has no buffer.
        """
        own = self.node(call)
        if own is None or call.part == REORDER:
            return ()
        written = (self._values.get(o.buffer) for o in call.writes)
        ahead = [v.producer for v in written if v is not None]
        ahead += self._unmade(own)
        found: list[Node] = []
        while ahead:
            node = ahead.pop()
            if node is None or node in self._called or node in found:
                continue
            found.append(node)
            ahead += self._unmade(node)
        return tuple(sorted(found, key=self._position.__getitem__))

    def fused_layers(self, call: Call) -> tuple[Node, ...]:
        """The layers of these nodes, each once."""
        return tuple(dict.fromkeys(node.of or node for node in self.fused(call)))

    def _unmade(self, node: Node) -> list[Node | None]:
        """Who would make what a node reads and nobody has made."""
        unmade = (v for v in node.ins.values() if v.name not in self.program.values)
        return [v.producer for v in unmade]

    def in_place(self, step: Step) -> tuple[tuple[Operand, Operand], ...]:
        """(write, read) operands of a step that share bytes in the plan."""
        call = self.call(step)
        places = [
            (p.arena, p.offset, p.offset + self.program.buffers[p.buffer].nbytes)
            for p in step.operands
        ]
        reads = list(zip(call.reads, places, strict=False))
        writes = zip(call.writes, places[len(call.reads) :], strict=True)
        return tuple(
            (write, read)
            for write, (arena, first, past) in writes
            for read, (other, start, end) in reads
            if arena == other and first < end and start < past
        )

    def views(self) -> Iterator[LayerViews]:
        """Layers that are neither called nor fused, in order: nothing but views, or nothing."""
        done: set[Node] = set()
        for call in self.program.calls:
            if call.node >= 0 and call.part != REORDER:
                done |= {self.graph.nodes[call.node], *self.fused(call)}
        for node in self.graph.nodes:
            if node not in done and not node.has(Trait.FEED):
                yield self._views_of(node)

    def _views_of(self, node: Node) -> LayerViews:
        ids = self.program.values
        values = [v for v in (*node.ins.values(), *node.outs.values()) if v.name in ids]
        made = [ids[v.name] for v in node.outs.values() if v.name in ids]
        root = self.program.root(made[0]) if made else None
        members = [
            (v.name, (self.program.buffers[ids[v.name]].view_of or (0, 0))[1])
            for v in dict.fromkeys(values)
            if v.kind is Kind.ACT and self.program.root(ids[v.name]) is root
        ]
        name = root.name if root is not None else ""
        return LayerViews(node, name, tuple(m for m in members if m[0] != name))

    @cached_property
    def _values(self) -> dict[int, Value]:
        """The graph's value behind each buffer that has one, in either format."""
        known = self.graph.by_name()
        for format_ in (BLOCKED, PLAIN):
            known |= {f"{name}:{format_}": value for name, value in self.graph.by_name().items()}
        named = {id_: known.get(name) for name, id_ in self.program.values.items()}
        return {id_: value for id_, value in named.items() if value is not None}

    @cached_property
    def _called(self) -> set[Node]:
        """Nodes that have calls of their own."""
        calls = (c for c in self.program.calls if c.node >= 0 and c.part != REORDER)
        return {self.graph.nodes[call.node] for call in calls}

    @cached_property
    def _position(self) -> dict[Node, int]:
        return {node: at for at, node in enumerate(self.graph.nodes)}


def _nbytes(buffer: Buffer) -> int:
    """Of the elements, without padding and gaps."""
    return math.prod(buffer.dims) * ITEM_BYTES[buffer.dtype]


__all__ = ["REORDER", "LayerViews", "Lowering"]
