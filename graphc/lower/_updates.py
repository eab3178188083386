"""update_early: parameters are updated in the backward, so that gradients need not outlive it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.graph import Value
from graphc.lower._draft import BACKWARD, UPDATE, Draft


def update_early(drafts: Sequence[Draft]) -> list[Draft]:
    """Every update behind the last draft that touches the parameter or the gradient it is about.

    A parameter that a layer's gradient of its bottom still reads is thus updated after that, and
    one that layers share after the last of them.
    """
    last: dict[Value, int] = {}
    for at, draft in enumerate(drafts):
        if draft.entry != UPDATE:
            last.update((value.storage, at) for value in draft.values())
    behind: dict[int, list[Draft]] = {}
    first = next((at for at, d in enumerate(drafts) if d.entry == BACKWARD), None)
    if first is None:
        return list(drafts)
    for draft in drafts:
        if draft.entry == UPDATE:
            at = max([first, *(last[v.storage] for v in draft.values() if v.storage in last)])
            behind.setdefault(at, []).append(replace(draft, entry=BACKWARD))
    left: list[Draft] = []
    for at, draft in enumerate(drafts):
        if draft.entry != UPDATE:
            left.append(draft)
        left += behind.get(at, ())
    return left


__all__ = ["update_early"]
