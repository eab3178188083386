"""micro_batched: a graph whose layers run on a few samples after each other, all on as many.

Layers with samples in common run on the whole batch: losses, so that they are normalized over all
of it; data layers; whatever else mixes samples. BatchNorm in training takes its statistics over all
slices, but normalizes one by one. Slices are views of the whole batch, and join into one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from graphc.count import batch_size
from graphc.errors import fail
from graphc.ir.graph import Graph, Node, typed
from graphc.ir.op import Effect, Trait
from graphc.ir.types import Type
from graphc.ops.batch_norm import BatchNorm
from graphc.ops.batch_norm_slices import BatchNormSlices
from graphc.slices import Edges, Slicer, edges_of, is_batched, sliced_types


def micro_batched(
    graph: Graph, size: int, kept: Collection[str] | Literal["all"] = ()
) -> list[str]:
    """Let layers of a shaped graph without gradients run on `size` samples at a time (in place);
    returns the names of those that mix samples and still run on all at once, losses aside.

    The last slice may be smaller; nothing is done if there is but one. `kept`: names of blobs that
    are wanted whole, beside outputs, or "all". Raises GC-R004 for a size that is none, GC-R003 for
    a graph of which every layer mixes samples.
    """
    batch = batch_size(graph)
    if type(size) is not int or size < 1:
        fail("GC-R004", f"a micro-batch of {size!r} samples; 1 and more are possible")
    return _sliced(graph, edges_of(batch, size), kept) if size < batch else []


def _sliced(graph: Graph, edges: Edges, kept: Collection[str] | Literal["all"]) -> list[str]:
    slicer, mixed = Slicer(graph), list[str]()
    row: list[tuple[Node, list[dict[str, Type]]]] = []
    done = False
    for node in graph.nodes:
        types = sliced_types(graph, node, edges)
        if types is not None:
            row.append((node, types))
            done = True
            continue
        slicer.emit(row, edges)
        row = []
        if node.op is BatchNorm and is_batched(node, edges[-1]):
            _normalize(slicer, node, edges)
            continue
        if not (node.has(Trait.FEED) or node.has(Effect.SOURCE) or node.has(Trait.LOSS)):
            mixed.append(node.name)
        slicer.keep(node)
    slicer.emit(row, edges)
    if not done:
        named = f", such as layer {mixed[0]!r}" if mixed else ""
        fail("GC-R003", f"no layer treats samples apart{named}", "train on the whole batch")
    slicer.join_all(kept)
    graph.nodes = slicer.nodes
    return mixed


def _normalize(slicer: Slicer, node: Node, edges: Edges) -> None:
    """A BatchNorm in training."""
    (x,), (y,) = node.ins.values(), (node.outs[role] for role in node.tops)
    xs = slicer.cut(x, edges)
    ys = list(slicer.slices(y, [typed(value) for value in xs]))
    slicer.parts[y] = {edges: ys}
    slicer.nodes.append(
        replace(
            node,
            op=BatchNormSlices,
            ins={f"x{k}": value for k, value in enumerate(xs)},
            outs={f"y{k}": value for k, value in enumerate(ys)},
            tops=tuple(f"y{k}" for k in range(len(ys))),
            params=dict(node.params),
            propagate=tuple(p for p in node.propagate for _ in xs),
        )
    )


__all__ = ["micro_batched"]
