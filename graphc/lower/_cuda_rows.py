"""CudaRows: the CUDA kernels that can do a draft, by the rows that declarations have for the CPU.

A kernel has the same symbol, attributes and operands on both, so that a declaration says each once.
What a row says of the CPU alone is taken off: packed operands, epilogues, strides, formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphc.cuda import Spec, Work, symbols, work
from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.lower._draft import Draft
from graphc.lower._formats import Formats
from graphc.lower._rows import Rows
from graphc.ops.kernel import PLAIN, Kernel
from graphc.ops.spec import OpSpec

BACKEND = "cuda"
PLAIN_SIDES = (PLAIN, PLAIN)


class CudaRows(Rows):
    """At most one row for each draft: of a kernel that is there and takes these operands."""

    def __init__(self, graph: Graph, formats: Formats) -> None:
        dense = (s for s in symbols() if not s.endswith("_sparse"))
        super().__init__(graph, BACKEND, dense, formats)

    def work(self, draft: Draft, row: Kernel) -> Work:
        """What the row launches. Raises GC-A001."""
        told = dict(self.problem(draft, row).attrs)
        return work(row.symbol, told, _specs(draft.reads), _specs(draft.writes))

    def _declared(self, node: Node, draft: Draft) -> Iterable[Kernel]:
        return map(cuda_row, super()._declared(node, draft))

    def _find(self, draft: Draft) -> Iterator[Kernel]:
        for row in super()._find(draft):
            if self._takes(draft, row):
                yield row
                return

    def _takes(self, draft: Draft, row: Kernel) -> bool:
        try:
            work(row.symbol, self.attrs(draft, row), _specs(draft.reads), _specs(draft.writes))
        except GraphError as error:
            if error.code != "GC-A001":
                raise
            return False
        return True


def cuda_row(row: Kernel) -> Kernel:
    """The CUDA kernel that a CPU's row stands for; one of no backend's where it does not."""
    if row.backend != "cpu" or PLAIN_SIDES not in row.formats:
        return replace(row, backend="")
    return replace(
        row,
        backend=BACKEND,
        deterministic=True,
        packs=(),
        strided=False,
        fuses=(),
        formats=(PLAIN_SIDES,),
        dynamic=False,
        asks=False,
        cost=None,
        stores=None,
    )


def has_kernels(op: type[OpSpec]) -> bool:
    """Is there a CUDA kernel for a part of this layer?"""
    rows = map(cuda_row, op.kernels)
    return any(row.backend == BACKEND and row.symbol in symbols() for row in rows)


def _specs(operands: Iterable[tuple[str, Value]]) -> list[Spec]:
    return [Spec(typed(value).dtype, typed(value).shape) for _, value in operands]


__all__ = ["BACKEND", "CudaRows", "has_kernels"]
