"""overlay: in-place writes where one side is a view; those between whole buffers are the planner's.

Only what no reader can notice is linked, and what cannot raise the peak by much: no root lives
longer than it would, and none starts more than a few calls earlier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphc.ir.graph import Value, typed
from graphc.ir.op import Kind
from graphc.lower._draft import Draft, Uses
from graphc.lower._forest import Forest
from graphc.lower._layout import overlap

EARLIER = 3
"""How many calls before its own first write a root may start, to take up a producer's result."""


class Overlay:
    """`fixed`: net inputs, which are not overwritten; `pinned`: values that must stay."""

    def __init__(
        self,
        drafts: Sequence[Draft],
        forest: Forest,
        fixed: Collection[Value] = (),
        pinned: Collection[Value] = (),
    ) -> None:
        self.drafts, self.forest = drafts, forest
        self.fixed, self.pinned = fixed, pinned
        self.uses = Uses(drafts)

    def run(self) -> None:
        self._produce_in_place()
        self._overwrite_slices()

    def _produce_in_place(self) -> None:
        """conv -> ReLU -> Concat: what ReLU overwrites is made in the slice that its result is."""
        for at in reversed(range(len(self.drafts))):
            for made, read in self._pairs(at):
                root, source = self.forest.root(made), self.forest.root(read)
                if root is source or self._is_whole(made) or not self.forest.covers(read):
                    continue
                if not self._is_free(source) or self._last_read(source) > at:
                    continue
                if self._first_write(root, made) < at:  # another operand is made there already
                    continue
                starts, earlier = self._first_write(root), self._first_write(source)
                if starts - earlier <= EARLIER:
                    self.forest.link(source, made)

    def _overwrite_slices(self) -> None:
        """A gradient of a Concat's slice goes where the slice was, while its root lives anyway."""
        for at in range(len(self.drafts)):
            for made, read in self._pairs(at):
                root = self.forest.root(read)
                if self._is_whole(read) or self.forest.root(made) is not made:
                    continue
                if self._first_write(made) < at:  # what is added to already has a place
                    continue
                if not self._is_free(root) or self._last_read(root, read) > at:
                    continue
                if self._last_use(made) <= max(self._last_read(root), at):
                    self.forest.link(made, read)

    def _pairs(self, at: int) -> Iterator[tuple[Value, Value]]:
        """(written, read) of equal types that may share bytes in this draft, and of which the
        draft reads those bytes in no other way."""
        draft = self.drafts[at]
        reads, writes = dict(draft.reads), dict(draft.writes)
        for made_role, read_role in draft.over:
            made, read = writes[made_role], reads[read_role]
            if made is read or typed(made).nbytes != typed(read).nbytes:
                continue
            root = self.forest.root(read)
            others = (v for r, v in draft.reads if (made_role, r) not in draft.over)
            if not any(self.forest.root(v) is root and self._meet(v, read) for v in others):
                yield made, read

    def _meet(self, a: Value, b: Value) -> bool:
        return overlap(self.forest.layout(a), self.forest.layout(b))

    def _is_whole(self, value: Value) -> bool:
        return typed(value).size == typed(self.forest.root(value)).size

    def _is_free(self, root: Value) -> bool:
        """May the root be overwritten, or live elsewhere, as far as the outside is concerned?"""
        members = self.forest.members(root)
        return root.kind is Kind.ACT and not any(
            v in self.fixed or v in self.pinned for v in members
        )

    def _last_read(self, root: Value, part: Value | None = None) -> int:
        """The last draft that reads the root, or bytes of `part`; -1 if none does."""
        found = -1
        for value in self.forest.members(root):
            reads = self.uses.reads(value)
            if reads and reads[-1] > found and (part is None or self._meet(value, part)):
                found = reads[-1]
        return found

    def _last_use(self, root: Value) -> int:
        """The last draft that reads the root, or writes it unread; past the end if it is pinned."""
        members = self.forest.members(root)
        if any(v in self.pinned for v in members):
            return len(self.drafts)
        return max(self._last_read(root), *(max(self.uses.writes(v), default=-1) for v in members))

    def _first_write(self, root: Value, part: Value | None = None) -> int:
        """The first draft that writes to the root, or to bytes of `part`; past the end if none."""
        found = len(self.drafts)
        for value in self.forest.members(root):
            writes = self.uses.writes(value)
            if writes and writes[0] < found and (part is None or self._meet(value, part)):
                found = writes[0]
        return found


__all__ = ["Overlay"]
