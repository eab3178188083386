"""fuse: activations and residual sums become epilogues of the kernel that makes their operand."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.ir.graph import Value
from graphc.lower._draft import RESIDUAL, Draft
from graphc.lower._rows import Rows
from graphc.ops.eltwise import Eltwise
from graphc.ops.relu import ReLU
from graphc.records import record


@record
class _Readers:
    """Positions of the drafts that touch a value, other than to make it."""

    drafts: Sequence[Draft]
    pinned: Collection[Value]

    def __post_init__(self) -> None:
        self.at: dict[Value, list[int]] = {}
        for position, draft in enumerate(self.drafts):
            made = () if draft.aliases else [value for _, value in draft.writes]
            for value in dict.fromkeys(v for v in draft.values() if v not in made):
                self.at.setdefault(value, []).append(position)

    def sole(self, value: Value) -> int | None:
        """The one reader of a value that nobody else asks for."""
        found = self.at.get(value, [])
        return found[0] if len(found) == 1 and value not in self.pinned else None


def fuse(
    drafts: Sequence[Draft], rows: Rows, pinned: Collection[Value]
) -> tuple[list[Draft], dict[Draft, dict[str, bool | float]]]:
    """The drafts that are left, in order, and what kernels are told of their epilogues.

    Only a value with a single reader that is not `pinned` goes unmade. A residual must be there
    before the call that adds it. See `graphc.ops.kernel.Kernel` for the attributes.
    """
    readers = _Readers(drafts, pinned)
    made_at = {value: at for at, draft in enumerate(drafts) for value in draft.values()}
    for at, draft in enumerate(drafts):
        for _, value in draft.writes:
            made_at[value] = at
    told: dict[Draft, dict[str, bool | float]] = {}
    absorbed: set[int] = set()
    for at, draft in enumerate(drafts):
        if at in absorbed or draft.aliases or not draft.is_forward:
            continue
        if len(draft.writes) != 1 or not rows.of(draft):
            continue
        found = _Epilogue(draft, rows)
        reader = readers.sole(found.made)
        if reader is not None and reader not in absorbed and drafts[reader].is_forward:
            other = _summand(drafts[reader], found.made, rows)
            is_there = other is not None and made_at.get(other, -1) < at
            if other is not None and is_there and found.add(other, drafts[reader]):
                absorbed.add(reader)
                reader = readers.sole(found.made)
        if reader is not None and reader not in absorbed:
            next_ = drafts[reader]
            is_relu = rows.node(next_).op is ReLU and next_.is_forward
            if is_relu and not next_.aliases and found.activate(next_):
                absorbed.add(reader)
        if found.told:
            told[draft] = found.told
    return [d for at, d in enumerate(drafts) if at not in absorbed], told


class _Epilogue:
    """What a draft's kernel does after its own work."""

    def __init__(self, draft: Draft, rows: Rows) -> None:
        self.draft, self.rows = draft, rows
        self.needs: set[str] = set()
        self.told: dict[str, bool | float] = {}

    @property
    def made(self) -> Value:
        return self.draft.writes[0][1]

    def add(self, other: Value, reader: Draft) -> bool:
        """Take over a sum, if a kernel can."""
        if not self._can("residual"):
            return False
        self.draft.reads = [*self.draft.reads, (RESIDUAL, other)]
        self.draft.tops |= {RESIDUAL}
        self.draft.over = (*self.draft.over, (self.draft.writes[0][0], RESIDUAL))
        self.told["residual"] = True
        return self._take(reader)

    def activate(self, reader: Draft) -> bool:
        """Take over a ReLU, if a kernel can."""
        if not self._can("relu"):
            return False
        slope = float(self.rows.node(reader).attrs.negative_slope)
        self.told |= {"relu": True, "slope": slope}
        return self._take(reader)

    def _can(self, what: str) -> bool:
        needs = self.needs | {what}
        if not any(needs.issubset(row.fuses) for row in self.rows.of(self.draft)):
            return False
        self.needs = needs
        self.rows.keep(self.draft, needs)
        return True

    def _take(self, reader: Draft) -> bool:
        ((role, _),) = self.draft.writes
        self.draft.writes = [(role, reader.writes[0][1])]
        return True


def _summand(draft: Draft, value: Value, rows: Rows) -> Value | None:
    """What a draft adds to `value`, if it is a plain sum of the two."""
    node = rows.node(draft)
    if node.op is not Eltwise or node.attrs.operation != "SUM" or draft.aliases:
        return None
    operands = [v for _, v in draft.reads]
    if len(operands) != 2 or len(draft.writes) != 1 or any(c != 1 for c in node.attrs.coeff):
        return None
    first, second = operands
    if first is second:
        return None
    return second if first is value else first


__all__ = ["RESIDUAL", "fuse"]
