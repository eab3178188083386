"""mbs: mini-batch serialization of a network, counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphc import driver
from graphc.budget import checked_size
from graphc.count import batch_size
from graphc.errors import fail
from graphc.ir.clone import forward_part
from graphc.ir.graph import Graph
from graphc.mbs import Serialized, serialized, units_of
from graphc.memory.plans import passed
from graphc.runtime.keeping import Keep


def mbs(
    net: Graph | str | Path,
    *,
    cache: str | int,
    train: bool = False,
    batch: int | None = None,
    keep: Keep = (),
    passes: Iterable[driver.PassLike] | str | None = None,
    greedy: bool = False,
    managed: bool = False,
    **words: Any,
) -> Serialized:
    """Groups of layers of a network, and bytes moved; a Graph given is not changed.

    `cache`: bytes, or a size as "10MiB", that sub-batches must fit in. What is told is what
    `graphc.plan` and `graphc.compile` make of `mbs=`, after `passes`, with `keep`. `managed`: as in
    the paper, see `graphc.mbs.serialized`, of the network as it is written. `greedy`: as the paper
    joins groups, to compare. `words`: of `graphc.load`, for a path. Raises GC-R004 for a cache that
    is no size, GC-R002 for a net of no layers, and what loading raises.
    """
    size = checked_size(cache)
    if isinstance(net, Graph):
        graph = forward_part(net)
    else:
        graph = driver.load(net, phase="TRAIN" if train else "TEST", **words)
    if managed:
        driver.shape(graph, batch=batch)
    else:
        graph = passed(graph, train, batch, keep, passes)
    units = units_of(graph)
    if not units:
        fail("GC-R002", "the network has no layers that compute anything")
    return serialized(units, size, batch_size(graph), train, greedy=greedy, managed=managed)


__all__ = ["mbs"]
