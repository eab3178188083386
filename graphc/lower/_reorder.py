"""reorder: the drafts with a copy in the other format of each value that is wanted in both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc.ir.graph import Value, typed
from graphc.lower._choose import operands
from graphc.lower._draft import Alias, Draft
from graphc.lower._formats import CHANNELS, Formats
from graphc.ops.kernel import BLOCKED, PLAIN, Sides
from graphc.ops.spec import View

BLOCK, UNBLOCK = "block", "unblock"
"""Kernels that copy to the other format."""


def reorder(
    drafts: Sequence[Draft], sides: Sequence[Sides], formats: Formats, fixed: Collection[Value]
) -> list[Draft]:
    """`drafts`, of which `sides` are the formats, on values that have them; `formats` learns which.

    A copy is made right before its first reader; where the copy is what a draft writes (a `fixed`
    value is plain, whoever makes it), the value itself is made right after. What a draft adds to is
    copied for it, if need be, as it is by then. The drafts are changed.
    """
    return _Reorders(drafts, sides, formats, fixed).run()


class _Reorders:
    def __init__(
        self,
        drafts: Sequence[Draft],
        sides: Sequence[Sides],
        formats: Formats,
        fixed: Collection[Value],
    ) -> None:
        self.drafts, self.sides, self.formats = drafts, sides, formats
        self.twins: dict[Value, Value] = {}
        self.made: set[Value] = set()
        self.left: list[Draft] = []
        writers = {
            value: pair[1]
            for draft, pair in zip(drafts, sides, strict=True)
            for value, is_top in operands(draft, formats)
            if any(value is v for _, v in draft.writes)
        }
        for value, format_ in writers.items():
            if format_ == BLOCKED and value not in fixed:
                formats.set_blocked(value)

    def run(self) -> list[Draft]:
        for draft, pair in zip(self.drafts, self.sides, strict=True):
            wanted = {
                value: pair[is_top] == BLOCKED for value, is_top in operands(draft, self.formats)
            }
            written = dict.fromkeys(value for _, value in draft.writes)
            other = {v: self._twin(v) for v, b in wanted.items() if b != self.formats.is_blocked(v)}
            for value in other:
                if value not in written or draft.adds:
                    self._copy(draft, value, other[value])
            _put(draft, other)
            self.left.append(draft)
            for value in written:
                self._write(draft, value, other.get(value))
        return self.left

    def _write(self, draft: Draft, value: Value, twin: Value | None) -> None:
        """After a draft has written a value, or its `twin`, the other one is out of date."""
        if twin is not None:
            self.made.add(twin)
        stale = value if twin is not None else self.twins.get(value)
        if stale is not None and not self.formats.is_neutral(value):
            self.made.discard(stale)
        if twin is not None:
            self._copy(draft, twin, value)

    def _twin(self, value: Value) -> Value:
        """The value in its other format."""
        if value not in self.twins:
            blocked = not self.formats.is_blocked(value)
            name = f"{value.name}:{BLOCKED if blocked else PLAIN}"
            twin = self.twins[value] = Value(name, typed(value))
            if blocked:
                self.formats.set_blocked(twin)
        return self.twins[value]

    def _copy(self, draft: Draft, source: Value, target: Value) -> None:
        if target in self.made:
            return
        self.made.add(target)
        views = (Alias(target, source, View("")),) if self.formats.is_neutral(source) else ()
        self.left.append(
            Draft(
                target.name,
                draft.node,
                "reorder",
                [("x", source)],
                [("y", target)],
                batch_axis=0,
                aliases=views,
                mover=mover(source, target, self.formats),
                entry=draft.entry,
            )
        )


def mover(source: Value, target: Value, formats: Formats) -> str:
    """The kernel that copies one value to the other."""
    if formats.is_blocked(source) == formats.is_blocked(target):
        return "copy"
    return UNBLOCK if formats.is_blocked(source) else BLOCK


def channels(draft: Draft) -> dict[str, int]:
    """What a kernel that reorders is told."""
    if draft.mover in (BLOCK, UNBLOCK):
        return {"channels": typed(draft.reads[0][1]).shape[CHANNELS]}
    return {}


def _put(draft: Draft, other: dict[Value, Value]) -> None:
    if not other:
        return
    draft.reads = [(role, other.get(v, v)) for role, v in draft.reads]
    draft.writes = [(role, other.get(v, v)) for role, v in draft.writes]
    draft.aliases = tuple(
        replace(a, inner=other.get(a.inner, a.inner), outer=other.get(a.outer, a.outer))
        for a in draft.aliases
    )


__all__ = ["channels", "mover", "reorder"]
