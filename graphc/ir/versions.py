"""Versions: which Caffe blob an SSA value is a version of.

The last version keeps the blob's name; an earlier one is `blob@layer`, after the layer that made
it, or `blob@layer#2` where that name was taken. Where a pass lets another layer make a version, it
becomes `blob@layer+1` (see `moved_version`), which no version of the file was called. The front end
refuses blobs whose own name looks like any of these.
"""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir.graph import Graph, Value


def blob_of(value: Value) -> str:
    """The blob `value` is a version of; its own name if it is the last or only one."""
    layer = value.producer.name if value.producer is not None else ""
    return version_of(value.name, layer) or value.name


def version_of(name: str, layer: str) -> str:
    """`blob` if `name` is what an earlier version of it, made by `layer`, is called; else empty."""
    blob, at, rest = name.rpartition(f"@{layer}")
    is_version = at and (not rest or (rest[0] in "#+" and rest[1:].isdigit()))
    return blob if is_version else ""


def moved_version(value: Value, layer: str, taken: Collection[str]) -> str:
    """What to call `value` once `layer` makes it: its name, unless it is an earlier version.

    Then `blob@layer+k` with the next k that is not `taken`.
    """
    blob, count = blob_of(value), 1
    if blob == value.name:
        return value.name
    while f"{blob}@{layer}+{count}" in taken:
        count += 1
    return f"{blob}@{layer}+{count}"


def first_versions(graph: Graph) -> dict[str, Value]:
    """Blob name -> the value first written under it: what Caffe's diff of the blob belongs to."""
    first: dict[str, Value] = {}
    for node in graph.forward_nodes():
        for role in node.tops:
            first.setdefault(blob_of(node.outs[role]), node.outs[role])
    return first
