"""Versions: which Caffe blob an SSA value is a version of.

The last version keeps the blob's name; an earlier one is `blob@layer`, after the layer that made
it, or `blob@layer#2` where that name was taken.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Graph, Value


def version_name(blob: str, layer: str, taken: Iterable[str]) -> str:
    """The name of an earlier version of `blob`, made by `layer`; unlike all in `taken`."""
    used, name, count = set(taken), f"{blob}@{layer}", 1
    while name in used:
        count += 1
        name = f"{blob}@{layer}#{count}"
    return name


def blob_of(value: Value) -> str:
    """The blob `value` is a version of; its own name if it is the last or only one."""
    layer = value.producer.name if value.producer is not None else ""
    blob, at, rest = value.name.rpartition(f"@{layer}")
    if at and blob and (not rest or (rest[0] == "#" and rest[1:].isdigit())):
        return blob
    return value.name


def first_versions(graph: Graph) -> dict[str, Value]:
    """Blob name -> the value first written under it: what Caffe's diff of the blob belongs to."""
    first: dict[str, Value] = {}
    for node in graph.forward_nodes():
        for role in node.tops:
            first.setdefault(blob_of(node.outs[role]), node.outs[role])
    return first
