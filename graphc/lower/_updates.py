"""update_early, absorb_updates: parameters are updated in the backward, so that gradients need not
outlive it, or need not be made at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from graphc.ir.graph import Value, typed
from graphc.lower._draft import BACKWARD, UPDATE, Draft, Uses
from graphc.lower._rows import Rows
from graphc.ops.update.rule import UpdateRule, with_update


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


Told = Mapping[Draft, Mapping[str, Any]]


def absorb_updates(
    drafts: Sequence[Draft], rows: Rows, kept: Collection[Value] = ()
) -> tuple[list[Draft], Told]:
    """The drafts, of which those that make a gradient for one update alone do that, too, where a
    kernel can; and what these are told of it. They run where the update ran."""
    uses = Uses(drafts)
    absorbed: set[int] = set()
    both: dict[int, Draft] = {}
    told: dict[Draft, Mapping[str, Any]] = {}
    for at, update in enumerate(drafts):
        node = rows.node(update)
        slopes = [value for role, value in update.reads if role.startswith("dw")]
        if not issubclass(cast("type[Any]", node.op), UpdateRule) or len(slopes) != 1:
            continue
        (slope,) = slopes
        writes, reads = uses.writes(slope), uses.reads(slope)
        if len(writes) != 1 or len(reads) != 1 or slope in kept or not rows.of(update):
            continue
        made = _with_update(drafts[writes[0]], update, slope, cast("type[UpdateRule]", node.op))
        if made is not None and rows.of(made):
            absorbed.add(writes[0])
            both[at] = made
            told[made] = rows.attrs(update, rows.of(update)[0])
    left = [both.get(at, draft) for at, draft in enumerate(drafts) if at not in absorbed]
    return left, told


def _with_update(maker: Draft, update: Draft, slope: Value, rule: type[UpdateRule]) -> Draft | None:
    """One draft for both, if the maker makes nothing else, and of the parameter as it lies."""
    learned = dict(update.reads)["w"]
    is_alone = [value for _, value in maker.writes] == [slope]
    if not is_alone or maker.adds or maker.is_sum or maker.aliases or maker.mover:
        return None
    if typed(slope).shape != typed(learned).shape:
        return None
    return replace(
        update,
        name=maker.name,
        node=maker.node,
        part=with_update(maker.part, rule),
        reads=[*maker.reads, *(read for read in update.reads if read[1] is not slope)],
        tops=maker.tops - {role for role, _ in maker.writes},
    )


__all__ = ["absorb_updates", "update_early"]
