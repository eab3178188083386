"""Draft: a call whose operands are still values of the graph; lowering edits lists of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from graphc.ir.graph import Value
from graphc.ir.op import Effect, Kind
from graphc.ops.spec import View
from graphc.records import record

FORWARD, BACKWARD, UPDATE = ENTRIES = ("forward", "backward", "update")
"""Entries of a Program that drafts become calls of, in the order in which they run."""
BEHIND = "behind"
"""The entry of updates that belong to the backward, until `update_early` finds their place."""
RESIDUAL = "residual"
"""The read role of a summand that a kernel adds to what it has computed."""
ADDEND = "addend"
"""The read role of what a call adds its result to: its own write, one version earlier."""


@record(frozen=True, slots=True)
class Alias:
    """The elements of `inner` are those of the slice `view` of `outer`."""

    inner: Value
    outer: Value
    view: View


@record(eq=False, slots=True)
class Draft:
    """One call. `node`: index in the graph; `part`: name of the Forward or Grad.

    `over`: (write role, read role) pairs that may share bytes. `aliases`: not a call at all, but
    these views. `can_add`: the kernel can add to what its write operand holds; `adds`: it does.
    `tops`: roles of operands that have the format of the layer's tops; others that of its bottoms.
    `is_sum`: autodiff's sum of gradients. `mover`: the kernel of a draft that is no layer's part,
    but copies "x" to "y", of the same dims, perhaps into another format.
    """

    name: str
    node: int
    part: str
    reads: list[tuple[str, Value]]
    writes: list[tuple[str, Value]]
    over: tuple[tuple[str, str], ...] = ()
    effects: frozenset[Effect] = frozenset()
    batch_axis: int | None = None
    aliases: tuple[Alias, ...] = ()
    can_add: bool = False
    adds: bool = False
    is_sum: bool = False
    mover: str = ""
    entry: str = FORWARD
    tops: frozenset[str] = frozenset()

    @property
    def is_forward(self) -> bool:
        return self.entry == FORWARD

    def images(self) -> Iterator[tuple[Value, bool]]:
        """(value, has it the format of the layer's tops?) of every read and write."""
        for role, value in (*self.reads, *self.writes):
            yield value, role in self.tops

    def values(self) -> Iterator[Value]:
        """Every value it touches, of aliases both sides; perhaps several times."""
        for alias in self.aliases:
            yield alias.outer
            yield alias.inner
        yield from (value for _, value in self.reads)
        yield from (value for _, value in self.writes)


class Uses:
    """Where values are read and written: positions in a list of drafts, ascending. What is nothing
    but an alias counts as neither."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        self._reads: dict[Value, list[int]] = {}
        self._writes: dict[Value, list[int]] = {}
        for at, draft in enumerate(drafts):
            if not draft.aliases:
                for _, value in draft.reads:
                    self._reads.setdefault(value, []).append(at)
                for _, value in draft.writes:
                    self._writes.setdefault(value, []).append(at)

    def reads(self, value: Value) -> Sequence[int]:
        return self._reads.get(value, ())

    def writes(self, value: Value) -> Sequence[int]:
        return self._writes.get(value, ())


def read_backward(drafts: Iterable[Draft]) -> set[Value]:
    """What the backward reads but does not make."""
    later = [draft for draft in drafts if not draft.is_forward]
    made = {value for draft in later for _, value in draft.writes}
    read = {value for draft in later for value in draft.values()}
    return {value for value in read - made if value.kind is Kind.ACT}


__all__ = ["ADDEND", "BEHIND", "RESIDUAL", "Alias", "Draft", "Uses", "read_backward"]
