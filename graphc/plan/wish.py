"""Wish: what a plan is asked for; which of a Program's buffers overrides of layers are about."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import fail, near
from graphc.ir.graph import Graph
from graphc.program import Program
from graphc.records import record


@record(frozen=True, slots=True)
class Wish:
    """`memory`: bytes that a plan must not exceed, None: any number. `policy`: how to choose what
    is computed twice. `keep`, `replay`: layers whose tops never are, or always; a name stands also
    for all layers below it, as "a" for "a/b". `host`: bytes of the host that training may send to.
    """

    memory: int | None = None
    policy: str = "ours"
    keep: tuple[str, ...] = ()
    replay: tuple[str, ...] = ()
    host: int = 0


@record(frozen=True, slots=True)
class Forced:
    """Root buffers that stay, and those that are dropped and replayed whatever the budget is."""

    kept: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()


NOTHING = Forced()


def forced_roots(program: Program, graph: Graph, wish: Wish) -> Forced:
    """The buffers that a wish's layers make. Raises GC-R002 for names that are no layer, or that
    are to be both kept and replayed."""
    kept, dropped = (_layers(graph, names) for names in (wish.keep, wish.replay))
    both = sorted(kept & dropped)
    if both:
        fail("GC-R002", f"layer {both[0]!r} is both to be kept and to be replayed")

    def roots(layers: set[str]) -> frozenset[int]:
        nodes = [node for node in graph.forward_nodes() if node.name in layers]
        values = [value.name for node in nodes for value in node.outs.values()]
        ids = [program.values[value] for value in values if value in program.values]
        return frozenset(program.root(buffer).id for buffer in ids)

    stays = roots(kept)
    return Forced(stays, roots(dropped) - stays)


def _layers(graph: Graph, names: Sequence[str]) -> set[str]:
    known = [node.name for node in graph.forward_nodes()]
    found: set[str] = set()
    for name in names:
        named = {each for each in known if each == name or each.startswith(f"{name}/")}
        if not named:
            fail("GC-R002", f"no layer {name!r} to keep or to replay", near(name, known))
        found |= named
    return found


__all__ = ["NOTHING", "Forced", "Wish", "forced_roots"]
