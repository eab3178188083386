"""update_early, absorb_updates: parameters are updated in the backward, so that gradients need not
outlive it, or need not be made at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from graphc.ir.graph import Value, typed
from graphc.lower._draft import BACKWARD, BEHIND, UPDATE, Draft, Uses
from graphc.lower._rows import Rows
from graphc.ops.update.rule import UpdateRule, with_update


def update_early(drafts: Sequence[Draft], fused_update: bool = True) -> list[Draft]:
    """Every update behind the last draft that touches the parameter or the gradient it is about.

    A parameter that a layer's gradient of its bottom still reads is thus updated after that, and
    one that layers share after the last of them. What rests on all gradients, or on several
    passes, stays where it is; without `fused_update` so does all that is no part of the backward.
    """
    last: dict[Value, int] = {}
    for at, draft in enumerate(drafts):
        if draft.entry not in (UPDATE, BEHIND):
            last.update((value.storage, at) for value in draft.values())
    behind: dict[int, list[Draft]] = {}
    moved: set[Draft] = set()
    first = next((at for at, d in enumerate(drafts) if d.entry == BACKWARD), None)
    late = _made_late(drafts)
    for draft in drafts if first is not None else ():
        is_free = fused_update and late.isdisjoint(value for _, value in draft.reads)
        if draft.entry == UPDATE and not is_free:  # nobody overtakes it
            late.update(value for _, value in draft.writes)
        if draft.entry == BEHIND or (draft.entry == UPDATE and is_free):
            at = max([first or 0, *(last[v.storage] for v in draft.values() if v.storage in last)])
            behind.setdefault(at, []).append(replace(draft, entry=BACKWARD))
            last.update((value.storage, at) for _, value in draft.writes)
            moved.add(draft)
    left: list[Draft] = []
    for at, draft in enumerate(drafts):
        if draft not in moved:
            left.append(draft)
        left += behind.get(at, ())
    return left


def _made_late(drafts: Sequence[Draft]) -> set[Value]:
    """What updates make for other updates, and what makes it: a draft with results of its own is
    about all gradients."""
    late = {value for d in drafts if d.entry == BEHIND for _, value in d.writes}
    for draft in drafts:
        if draft.entry == UPDATE and not draft.over:
            late.update(value for _, value in (*draft.reads, *draft.writes))
    return late


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
        rule = cast("type[UpdateRule]", node.op)
        if not issubclass(rule, UpdateRule) or len(slopes) != 1 or not rows.of(update):
            continue
        (slope,) = slopes
        writes, reads = uses.writes(slope), uses.reads(slope)
        if len(writes) != 1 or len(reads) != 1 or slope in kept:
            continue
        if rows.of(update)[0].symbol != rule.absorbed:
            continue
        made = _with_update(drafts[writes[0]], update, slope, rule)
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
