"""placement: which values share memory as views and by writes in place, once rows are chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from graphc.ir.graph import Value
from graphc.lower._draft import Draft, Uses
from graphc.lower._forest import Forest
from graphc.lower._formats import Formats
from graphc.lower._layout import Layout
from graphc.lower._overlay import Overlay
from graphc.lower._views import place_views


def placed_in(
    drafts: Sequence[Draft],
    formats: Formats,
    accepted: Callable[[Iterable[Draft], Value, Layout], bool],
    given: Collection[Value],
    pinned: Collection[Value],
) -> tuple[list[Draft], Forest]:
    """The drafts, with copies where a view cannot be, and where their values lie.

    `accepted`: may these drafts, which use a value, meet it in a layout? `given`: filled from
    outside, so not overwritten; `pinned`: must stay.
    """
    uses = Uses(drafts)

    def accepts(value: Value, layout: Layout) -> bool:
        places = (*uses.reads(value), *uses.writes(value))
        return accepted((drafts[at] for at in places), value, layout)

    forest = Forest(formats, accepts)
    placed = place_views(drafts, forest, given)
    Overlay(placed, forest, given, pinned).run()
    return placed, forest


__all__ = ["placed_in"]
