"""with_kernels: a Program of named parts gets its kernels, their parameters and packed weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from graphc import _core
from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.lower._choices import Choice, PackSizes
from graphc.lower._choose import PLAIN_SIDES
from graphc.lower._draft import Draft
from graphc.lower._problem import UNPACKED
from graphc.lower._reorder import channels
from graphc.lower._rows import Rows
from graphc.lower._select import Price
from graphc.ops.kernel import Kernel, Pack
from graphc.program import HOST, Buffer, BufferKind, Call, Operand, Program, Variant

LINE = 64


def with_kernels(
    program: Program,
    drafts: Sequence[Draft],
    graph: Graph,
    rows: Rows,
    price: Price,
    threads: int,
) -> Program:
    """`program` with variants, attributes and calls that pack weights: in an entry "prepare", but
    those that the Program itself updates right before they are needed, into memory that is free
    again afterwards.

    `drafts`: those its calls were made of, in order; `threads`: the most that run a kernel, whose
    workspace may depend on them. Raises GC-O001 for a kernel that refuses what its row offers.
    """
    work = _Work(program, graph, rows, price, threads)
    calls = [work.call(c, d) for c, d in zip(program.calls, drafts, strict=True)]
    entries = {
        name: tuple(at for index in ids for at in (*work.before.get(index, ()), index))
        for name, ids in program.entries.items()
    }
    return replace(
        program,
        buffers=tuple(work.buffers),
        calls=(*calls, *work.packing),
        entries={"prepare": tuple(work.prepare), **entries},
    )


class _Work:
    def __init__(
        self, program: Program, graph: Graph, rows: Rows, price: Price, threads: int
    ) -> None:
        self.program, self.graph, self.rows, self.price = program, graph, rows, price
        self.threads = threads
        self.buffers = list(program.buffers)
        self.packing: list[Call] = []
        self.prepare: list[int] = []  # calls of that entry
        self.before: dict[int, list[int]] = {}  # call -> those that pack what it reads
        self._packed: dict[tuple[Any, ...], tuple[int, int]] = {}
        written = (program.root(o.buffer) for c in program.calls for o in c.writes)
        self._updated = {b.id for b in written if b.kind is BufferKind.PARAM}

    def call(self, call: Call, draft: Draft) -> Call:
        """The call with the kernels that can do it, or as a host step."""
        rows = self.rows.of(draft)
        if draft.mover:
            moved = replace(call, attrs=channels(draft))
            return replace(moved, variants=(self._variant(moved, draft, draft.mover),))
        if not rows:
            us, basis = self.price(draft, HOST, "", None, PLAIN_SIDES)
            return replace(call, variants=(Variant(HOST, est_us=us, basis=basis),))
        best, *others = rows
        told = dict(self.rows.problem(draft, best).attrs)
        # variants share operands and parameters, so that the planner may swap them
        alike = [r for r in others if r.packs == best.packs]
        alike = [r for r in alike if dict(self.rows.problem(draft, r).attrs) == told]
        packs = {pack.of: pack for pack in best.packs}
        choice = self.rows.chosen(draft)
        sizes = dict(choice.packs)
        done = replace(call, attrs=told)
        done = replace(
            done,
            reads=tuple(
                self._packed_operand(done, draft, packs[o.role], o, sizes) if o.role in packs else o
                for o in call.reads
            ),
        )
        variants = tuple(self._known_variant(done, draft, row) for row in (best, *alike))
        self.rows.tell_choice(draft, Choice(choice.sides, variants, sizes))
        return replace(done, variants=variants)

    def _known_variant(self, call: Call, draft: Draft, row: Kernel) -> Variant:
        """A row's variant, as known from a lowering before."""
        for known in self.rows.chosen(draft).variants:
            if known.symbol == row.symbol:
                return replace(known, deterministic=row.deterministic)
        return self._variant(call, draft, row.symbol, row)

    def _packed_operand(
        self, call: Call, draft: Draft, pack: Pack, source: Operand, sizes: PackSizes
    ) -> Operand:
        """The packed form of an operand; one for all calls that want the same, but of a weight that
        changes. `sizes`: those known from a lowering before, or asked for."""
        own = self.rows.pack_attrs(draft, self.rows.of(draft)[0])
        attrs = call.attrs if pack.size is None else own
        known = sizes.get(pack.of)
        if pack.size is None and known is not None:
            size = known[0]
        else:
            size = self._packed_size(call, draft, pack)
        key = (source.buffer, pack.symbol, size, tuple(sorted(attrs.items())))
        is_updated = self.program.root(source.buffer).id in self._updated
        if is_updated or key not in self._packed:
            kind = BufferKind.ACT if is_updated else BufferKind.PACKED
            made = self._add(f"{self.buffers[source.buffer].name}.packed", size, kind)
            packing = Call(
                len(self.program.calls) + len(self.packing),
                f"{call.name}.{pack.of}",
                -1,
                "pack",
                (),
                (Operand(pack.of, source.buffer, source.version if is_updated else 0),),
                (Operand("packed", made, 1),),
                attrs=dict(attrs),
            )
            if known is not None:
                workspace = known[1]
            else:
                workspace = self._made(pack.symbol, packing, call.node).workspace
            self._packed[key] = made, workspace
            self.packing.append(replace(packing, variants=(Variant(pack.symbol, workspace),)))
            place = self.before.setdefault(call.id, []) if is_updated else self.prepare
            place.append(packing.id)
        buffer, workspace = self._packed[key]
        sizes[pack.of] = size, workspace
        return Operand(source.role, buffer, 1)

    def _packed_size(self, call: Call, draft: Draft, pack: Pack) -> int:
        """Floats of a packed operand, by the declaration or by the kernel that reads it."""
        if pack.size is not None:
            return self.rows.packed_size(draft, pack)
        row = self.rows.of(draft)[0]
        unpacked = {p.of for p in row.packs}
        return self._made(row.symbol, call, call.node, unpacked).packed

    def _add(self, name: str, size: int, kind: BufferKind) -> int:
        nbytes = -(-size * 4 // LINE) * LINE
        made = Buffer(len(self.buffers), name, kind, "f32", (size,), (1,), nbytes, LINE)
        self.buffers.append(made)
        return made.id

    def _variant(self, call: Call, draft: Draft, symbol: str, row: Kernel | None = None) -> Variant:
        """A variant with the kernel's own word on its workspace."""
        key = "" if row is None else self.rows.problem(draft, row).key
        us, basis = self.price(draft, symbol, key, row, self.rows.sides(draft))
        workspace = self._made(symbol, call, call.node).workspace
        return Variant(symbol, workspace, us, row is None or row.deterministic, basis)

    def _made(
        self, symbol: str, call: Call, node: int, unpacked: Collection[str] = ()
    ) -> _core.Kernel:
        """A kernel for the call; of operands in `unpacked` the size is not known yet."""
        reads = [
            (*UNPACKED, (1,)) if o.role in unpacked else self._spec(o.buffer) for o in call.reads
        ]
        writes = [self._spec(o.buffer) for o in call.writes]
        try:
            return _core.make_kernel(symbol, reads, writes, call.attrs, self.threads)
        except GraphError as error:
            if error.code != "GC-A001":
                raise
            reason = f"kernel {symbol!r} refuses what its row offers: {error.message}"
            raise self.graph.nodes[node].located(GraphError("GC-O001", reason)) from None

    def _spec(self, buffer: int) -> _core.Spec:
        found = self.buffers[buffer]
        return found.dtype, found.dims, found.strides


__all__ = ["with_kernels"]
