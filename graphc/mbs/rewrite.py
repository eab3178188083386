"""serialize: a graph whose groups of layers run on few samples at a time, turn after turn."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Literal

from graphc.count import batch_size
from graphc.errors import fail
from graphc.ir.graph import Graph, Node
from graphc.ir.types import Type
from graphc.mbs.groups import Serialized, serialized
from graphc.mbs.units import Unit, units_of
from graphc.records import record
from graphc.slices import Edges, Slicer, edges_of, sliced_types

SERIALIZED = "mini-batch serialization"
"""How a graph's note begins that tells of it."""
WHOLE = "the whole batch runs layer by layer, as without serialization"


def serialize(
    graph: Graph, cache: int, train: bool = False, kept: Collection[str] | Literal["all"] = ()
) -> Serialized:
    """Let layers of a shaped graph without gradients run in the cheapest groups for `cache` bytes
    (in place); returns the groups.

    `kept`: names of blobs that are wanted whole, beside outputs, or "all". Nothing is done to a
    batch of 1. Raises GC-R003 where there is no group: layers mix samples, as BatchNorm in training
    does, or not even one sample fits.
    """
    if any(node.samples is not None for node in graph.nodes):
        fail("GC-R003", "layers run on slices of the batch already", "leave --mbs out")
    units, batch = units_of(graph), batch_size(graph)
    found = serialized(units, cache, batch, train)
    turns: dict[Node, _Turns] = {}
    for group, (lo, hi) in zip(found.groups, pairwise([0, *found.cuts]), strict=True):
        if group.turns > 1:
            own = _Turns(edges_of(batch, group.samples))
            turns.update((node, own) for unit in units[lo:hi] for node in unit.nodes)
    if batch < 2:
        return found
    if not turns:
        _refuse(units, found)
    _rewrite(graph, turns, kept)
    moved = f"{found.after:,} B are moved instead of {found.before:,} B"
    graph.notes.append(f"{SERIALIZED}: {sum(g.turns > 1 for g in found.groups)} groups, {moved}")
    return found


@record(eq=False, slots=True)
class _Turns:
    """A group, by where its turns begin and end."""

    edges: Edges


def _refuse(units: list[Unit], found: Serialized) -> None:
    if not any(unit.apart for unit in units):
        named = f", such as layer {found.mixed[0]!r}" if found.mixed else ""
        fail("GC-R003", f"no group of layers treats samples apart{named}", WHOLE)
    told = f"no group of layers moves less with a cache of {found.cache:,} B"
    fail("GC-R003", told, "one sample's data must fit, and the weights; choose a larger cache")


def _rewrite(
    graph: Graph, turns: Mapping[Node, _Turns], kept: Collection[str] | Literal["all"]
) -> None:
    slicer = Slicer(graph)
    row: list[tuple[Node, list[dict[str, Type]]]] = []
    current: _Turns | None = None
    for node in graph.nodes:
        own = turns.get(node)
        if own is not current and node.ins:
            if current is not None:
                slicer.emit(row, current.edges)
            row, current = [], own
        types = None if own is None else sliced_types(graph, node, own.edges)
        if own is None:
            slicer.keep(node)
        else:
            assert types is not None, f"{node.name!r} is in a group, but mixes samples"
            row.append((node, types))
    if current is not None:
        slicer.emit(row, current.edges)
    slicer.join_all(kept)
    graph.nodes = slicer.nodes


__all__ = ["SERIALIZED", "serialize"]
