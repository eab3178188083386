"""program_of: buffers, versions and calls from drafts whose values have their places."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from graphc.ir.graph import Graph, Role, Value, typed
from graphc.ir.op import Effect, Kind
from graphc.ir.types import ITEM_BYTES
from graphc.ir.versions import blob_of
from graphc.lower._draft import BACKWARD, ENTRIES, UPDATE, Draft
from graphc.lower._forest import Forest
from graphc.lower._layout import Layout, overlap
from graphc.program import Attrs, Buffer, BufferKind, Call, Operand, Program, Variant

PERSISTENT_KINDS = {
    Kind.PARAM: BufferKind.PARAM,
    Kind.STATE: BufferKind.STATE,
    Kind.CARRY: BufferKind.CARRY,
    Kind.HISTORY: BufferKind.HISTORY,
}


def program_of(
    target: str,
    graph: Graph,
    drafts: Sequence[Draft],
    forest: Forest,
    *,
    pinned: Collection[Value] = (),
    lasting: Collection[Value] = (),
    variants: Callable[[Draft], tuple[Variant, ...]],
    attrs: Callable[[Draft], Attrs] = lambda draft: {},
    align: int = 64,
) -> Program:
    """The Program of `drafts`, entries "forward" and, where there are such drafts, "backward" and
    "update".

    `pinned`: values kept until their entry ends, beside the net's outputs; `lasting`: those kept
    until the last entry ends. `align`: bytes, of which every root buffer also fills a whole number.
    Step parameters are inputs.
    """
    table = _Table(graph, forest, align)
    # By name: a set has no order that is the same from run to run.
    others = sorted(set(pinned).difference(graph.outputs), key=lambda value: value.name)
    for value in (*given_values(graph), *graph.outputs, *others):
        table.add(value)
    for draft in drafts:
        for value in draft.values():
            table.add(value)
    versions = _Versions(table)
    calls = tuple(
        Call(
            index,
            draft.name,
            draft.node,
            draft.part,
            variants(draft),
            tuple(versions.read(role, value) for role, value in draft.reads),
            tuple(versions.write(role, value) for role, value in draft.writes),
            may_overwrite=draft.over,
            effects=draft.effects,
            batch_axis=draft.batch_axis,
            attrs=attrs(draft),
            samples=_samples(graph, draft),
        )
        for index, draft in enumerate(drafts)
    )
    ids = {value: buffer.id for value, buffer in table.known.items()}
    entries = {
        name: tuple(c.id for c, d in zip(calls, drafts, strict=True) if d.entry == name)
        for name in ENTRIES
    }
    if not entries[BACKWARD] and not graph.seeds:
        del entries[BACKWARD]
    if not entries[UPDATE]:
        del entries[UPDATE]
    return Program(
        target,
        tuple(table.known.values()),
        calls,
        entries,
        inputs={blob_of(v): ids[v] for v in (*graph.inputs, *graph.step_params.values())},
        outputs={v.name: ids[v] for v in graph.outputs if v in ids},
        kept=frozenset(ids[v] for v in (*graph.outputs, *pinned) if v in ids),
        lasting=frozenset(ids[v] for v in lasting if v in ids),
        values={v.name: ids[v] for v in ids},
        seeds={name: ids[v] for name, v in graph.seeds.items()},
    )


def with_fastest(program: Program) -> Program:
    """The Program with but the fastest variant of each call, so that no plan chooses another."""
    calls = (replace(c, variants=(min(c.variants, key=_time),)) for c in program.calls)
    return replace(program, calls=tuple(calls))


def _time(variant: Variant) -> float:
    return variant.est_us


def _samples(graph: Graph, draft: Draft) -> tuple[int, int] | None:
    """The slice of the batch that a draft's layer works on."""
    node = graph.nodes[draft.node]
    return node.samples if node.of is None else node.of.samples


class _Table:
    """The buffers of values, numbered as they come; a root comes before its views."""

    def __init__(self, graph: Graph, forest: Forest, align: int) -> None:
        self.forest, self.align = forest, align
        self.known: dict[Value, Buffer] = {}
        self._io = set(given_values(graph))
        self._grads = weight_gradients(graph)
        for node in graph.forward_nodes():
            if node.has(Effect.SOURCE):
                self._io.update(node.outs.values())

    def add(self, value: Value) -> None:
        if value in self.known:
            return
        owner = self.forest.root(value).storage
        layout, item = self.forest.layout(value), ITEM_BYTES[typed(value).dtype]
        if owner is value:
            nbytes = -(-layout.span * item // self.align) * self.align
            self._make(value, self._kind(value), layout, nbytes, None)
            return
        self.add(owner)
        root = self.known[owner]
        self._make(value, root.kind, layout, layout.span * item, (root.id, layout.offset * item))

    def _make(
        self,
        value: Value,
        kind: BufferKind,
        layout: Layout,
        nbytes: int,
        view_of: tuple[int, int] | None,
    ) -> None:
        self.known[value] = Buffer(
            len(self.known),
            value.name,
            kind,
            typed(value).dtype,
            layout.dims,
            layout.strides,
            nbytes,
            self.align,
            view_of,
        )

    def _kind(self, value: Value) -> BufferKind:
        if value.kind is not Kind.ACT:
            return PERSISTENT_KINDS[value.kind]
        if value in self._io:
            return BufferKind.IO
        return BufferKind.GRAD if value in self._grads else BufferKind.ACT


def given_values(graph: Graph) -> list[Value]:
    """What whoever runs the graph fills: inputs, seeds of gradients, step parameters."""
    return [*graph.inputs, *graph.seeds.values(), *graph.step_params.values()]


def weight_gradients(graph: Graph) -> set[Value]:
    """Gradients of parameters, their summands included; those of blobs are activations."""
    found: set[Value] = set()
    for node in graph.nodes:
        if node.role is not Role.GRAD:
            continue
        if node.of is not None:
            found.update(v for role, v in node.outs.items() if role[1:] in node.of.params)
        elif not found.isdisjoint(node.ins.values()):
            found.update(node.outs.values())
    return found


class _Versions:
    """How often each buffer has been written; a write counts for all that share bytes with it."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        self._count = [0] * len(table.known)
        self._families: dict[int, list[Value]] = {}
        self._touched: dict[Value, tuple[int, ...]] = {}
        for value, buffer in table.known.items():
            self._families.setdefault(_root_id(buffer), []).append(value)

    def read(self, role: str, value: Value) -> Operand:
        index = self.table.known[value].id
        return Operand(role, index, self._count[index])

    def write(self, role: str, value: Value) -> Operand:
        for index in self._sharing(value):
            self._count[index] += 1
        return self.read(role, value)

    def _range(self, value: Value) -> tuple[int, int]:
        """Bytes of the root that a value lies within."""
        buffer = self.table.known[value]
        start = buffer.view_of[1] if buffer.view_of is not None else 0
        return start, start + max(1, buffer.nbytes)

    def _sharing(self, value: Value) -> tuple[int, ...]:
        if value not in self._touched:
            forest, known = self.table.forest, self.table.known
            family = self._families[_root_id(known[value])]
            mine = forest.layout(value)
            begin, end = self._range(value)
            ranges = ((v, *self._range(v)) for v in family)
            near = [v for v, first, past in ranges if first < end and begin < past]
            shared = [v for v in near if v is value or overlap(forest.layout(v), mine)]
            self._touched[value] = tuple(known[v].id for v in shared)
        return self._touched[value]


def _root_id(buffer: Buffer) -> int:
    return buffer.view_of[0] if buffer.view_of is not None else buffer.id


__all__ = ["given_values", "program_of", "weight_gradients", "with_fastest"]
