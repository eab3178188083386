"""with_kernels: a Program of named parts gets its kernels, their parameters and packed weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphc import _core
from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.lower._draft import Draft
from graphc.lower._rows import Rows
from graphc.ops.spec import Pack
from graphc.program import HOST, Attrs, Buffer, BufferKind, Call, Operand, Program, Variant

LINE = 64
Told = Mapping[Draft, Mapping[str, Any]]


def with_kernels(
    program: Program,
    drafts: Sequence[Draft],
    graph: Graph,
    rows: Rows,
    told: Told,
    microseconds: Callable[[Draft], float],
    threads: int,
) -> Program:
    """`program` with variants, attributes and an entry "prepare" that packs weights.

    `drafts`: those its calls were made of, in order; `told`: parameters beside the rows' own;
    `threads`: the most that run a kernel, whose workspace may depend on them.
    Raises GC-O001 for a kernel that refuses what its row offers.
    """
    work = _Work(program, graph, rows, microseconds, threads)
    calls = [work.call(c, d, told.get(d, {})) for c, d in zip(program.calls, drafts, strict=True)]
    packing = [replace(c, id=len(calls) + k) for k, c in enumerate(work.packing)]
    return replace(
        program,
        buffers=tuple(work.buffers),
        calls=(*calls, *packing),
        entries={"prepare": tuple(c.id for c in packing), **program.entries},
    )


class _Work:
    def __init__(
        self,
        program: Program,
        graph: Graph,
        rows: Rows,
        microseconds: Callable[[Draft], float],
        threads: int,
    ) -> None:
        self.graph, self.rows, self.microseconds = graph, rows, microseconds
        self.threads = threads
        self.buffers = list(program.buffers)
        self.packing: list[Call] = []
        self._packed: dict[tuple[Any, ...], int] = {}

    def call(self, call: Call, draft: Draft, extra: Mapping[str, Any]) -> Call:
        """The call with the kernels that can do it, or as a host step."""
        estimate = self.microseconds(draft)
        rows = self.rows.of(draft)
        if draft.is_copy:
            return replace(call, variants=(self._variant("copy", call, estimate),))
        if not rows:
            return replace(call, variants=(Variant(HOST, est_us=estimate),))
        best, *others = rows
        own = dict(self.rows.attrs(draft, best))
        # variants share operands and parameters, so that the planner may swap them
        alike = [r for r in others if r.packs == best.packs]
        alike = [best, *(r for r in alike if dict(self.rows.attrs(draft, r)) == own)]
        packs = {pack.of: pack for pack in best.packs}
        reads = tuple(
            self._packed_operand(call, draft, packs[o.role], o, own) if o.role in packs else o
            for o in call.reads
        )
        done = replace(call, reads=reads, attrs={**own, **extra})
        variants = tuple(
            self._variant(row.symbol, done, estimate, row.deterministic) for row in alike
        )
        return replace(done, variants=variants)

    def _packed_operand(
        self, call: Call, draft: Draft, pack: Pack, source: Operand, attrs: Attrs
    ) -> Operand:
        """The packed form of an operand; one for all calls that want the same."""
        node = self.rows.node(draft)
        size = pack.size(node.attrs, self.rows.sig(draft))
        key = (source.buffer, pack.symbol, size, tuple(sorted(attrs.items())))
        if key not in self._packed:
            made = self._add(f"{self.buffers[source.buffer].name}.packed", size)
            self._packed[key] = made
            packing = Call(
                0,
                f"{call.name}.{pack.of}",
                -1,
                "pack",
                (),
                (Operand(pack.of, source.buffer, 0),),
                (Operand("packed", made, 1),),
                attrs=dict(attrs),
            )
            variant = self._variant(pack.symbol, packing, 0.0, node=call.node)
            self.packing.append(replace(packing, variants=(variant,)))
        return Operand(source.role, self._packed[key], 1)

    def _add(self, name: str, size: int) -> int:
        nbytes = -(-size * 4 // LINE) * LINE
        made = Buffer(
            len(self.buffers), name, BufferKind.PACKED, "f32", (size,), (1,), nbytes, LINE
        )
        self.buffers.append(made)
        return made.id

    def _variant(
        self,
        symbol: str,
        call: Call,
        estimate: float,
        deterministic: bool = True,
        node: int | None = None,
    ) -> Variant:
        """A variant with the kernel's own word on its workspace."""
        reads, writes = ([self._spec(o.buffer) for o in side] for side in (call.reads, call.writes))
        try:
            made = _core.make_kernel(symbol, reads, writes, call.attrs, self.threads)
        except GraphError as error:
            if error.code == "GC-M002":
                raise
            owner = self.graph.nodes[call.node if node is None else node]
            reason = f"kernel {symbol!r} refuses what its row offers: {error.message}"
            raise owner.located(GraphError("GC-O001", reason)) from None
        return Variant(symbol, made.workspace, estimate, deterministic)

    def _spec(self, buffer: int) -> _core.Spec:
        found = self.buffers[buffer]
        return found.dtype, found.dims, found.strides


__all__ = ["with_kernels"]
