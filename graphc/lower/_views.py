"""place_views: views where the forest allows them, copies where it does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.ir.graph import Value, typed
from graphc.ir.op import Kind
from graphc.ir.types import Type
from graphc.lower._draft import Alias, Draft
from graphc.lower._forest import Forest
from graphc.lower._reorder import mover
from graphc.ops.spec import View


def place_views(
    drafts: Sequence[Draft], forest: Forest, fixed: Collection[Value] = ()
) -> list[Draft]:
    """The drafts without those that are nothing but views; copies stand in for refused views.

    A result that is a slice of what was read (Slice, Reshape, gradients handed on) is a view of
    that. A bottom that is a slice of the top (Concat) is written there by its producer, unless it
    is part of another root already, or `fixed`: an input, which the caller fills.
    """
    left: list[Draft] = []
    for draft in drafts:
        made = {value for _, value in draft.writes}
        for alias in draft.aliases:
            if alias.inner in made:
                linked = forest.link(alias.inner, alias.outer, alias.view)
            else:
                linked = _move(alias, forest, fixed)
            if not linked:
                left.append(_copy(draft, alias, forest, outwards=alias.inner not in made))
        if not draft.aliases:
            left.append(draft)
    return left


def _move(alias: Alias, forest: Forest, fixed: Collection[Value]) -> bool:
    """Give the producer of `inner` the slice of `outer` to write to."""
    root = forest.root(alias.inner)
    if root in fixed or root.kind is not Kind.ACT or not forest.covers(alias.inner):
        return False
    return forest.link(root, alias.outer, alias.view)


def _copy(draft: Draft, alias: Alias, forest: Forest, *, outwards: bool) -> Draft:
    """The call that copies the slice of `outer` to `inner`, or, `outwards`, back."""
    inner, part = alias.inner, _slice(alias, forest)
    if typed(part).shape != typed(inner).shape:
        inner = _view(inner, View(""), typed(part).shape, forest)
    ends = (inner, part) if outwards else (part, inner)
    return Draft(
        draft.name,
        draft.node,
        draft.part,
        [("x", ends[0])],
        [("y", ends[1])],
        batch_axis=draft.batch_axis,
        mover=mover(ends[0], ends[1], forest.formats),
        entry=draft.entry,
    )


def _slice(alias: Alias, forest: Forest) -> Value:
    view, shape = alias.view, typed(alias.outer).shape
    if view.axis is None:
        return alias.outer
    stop = shape[view.axis] if view.stop is None else view.stop
    dims = (*shape[: view.axis], stop - view.start, *shape[view.axis + 1 :])
    return _view(alias.outer, view, dims, forest)


def _view(value: Value, view: View, dims: tuple[int, ...], forest: Forest) -> Value:
    """A new value: `view` of `value`, with `dims`."""
    stop = "" if view.stop is None else view.stop
    where = f"[{view.start}:{stop}]" if view.axis is not None else "[:]"
    made = Value(f"{value.name}{where}", Type(dims, typed(value).dtype), value.kind)
    forest.formats.adopt(made, value)
    linked = forest.link(made, value, view)
    assert linked, f"{made.name!r} cannot be a view"
    return made


__all__ = ["place_views"]
