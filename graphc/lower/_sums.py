"""accumulate: sums of gradients become parts that add to one buffer, where their kernels can."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from graphc.ir.graph import Value
from graphc.lower._draft import ADDEND, Draft


def accumulate(
    drafts: Sequence[Draft],
    pinned: Collection[Value] = (),
    can_add: Callable[[Draft], bool] = lambda draft: draft.can_add,
) -> list[Draft]:
    """Leave out every sum whose summands, but for the first, can be added to it as they are made.

    The order of additions stays. A sum of which a summand is a view of another gradient, or asked
    for itself (`pinned`), stays a call. `can_add`: does a backend's kernel for the draft do this?
    """
    maker = {value: at for at, draft in enumerate(drafts) for _, value in draft.writes}
    readers: dict[Value, int] = {}
    for draft in drafts:
        for value in draft.values():
            readers[value] = readers.get(value, 0) + 1
    left: list[Draft] = []
    for draft in drafts:
        if not draft.is_sum:
            left.append(draft)
            continue
        summands = [value for _, value in draft.reads]
        places = [maker[value] for value in summands if value in maker]
        makers = [drafts[at] for at in places]
        # each is touched by its maker and by this sum alone
        alone = all(readers[v] == 2 and v not in pinned for v in summands)
        in_order = len(places) == len(summands) and places == sorted(places)
        if alone and in_order and _can_join(makers, can_add):
            _join(makers, draft.writes[0][1])
        else:
            left.append(draft)
    return left


def _can_join(makers: Sequence[Draft], can_add: Callable[[Draft], bool]) -> bool:
    are_calls = all(not m.aliases and len(m.writes) == 1 for m in makers)
    return are_calls and all(can_add(m) for m in makers[1:])


def _join(makers: Sequence[Draft], total: Value) -> None:
    for count, maker in enumerate(makers):
        ((role, _),) = maker.writes
        maker.writes = [(role, total)]
        if count:
            maker.adds = True
            maker.reads.append((ADDEND, total))
            maker.over += ((role, ADDEND),)
            if role in maker.tops:
                maker.tops |= {ADDEND}


__all__ = ["accumulate"]
