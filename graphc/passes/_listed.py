"""Files of numbers by layer: scores of filters, and the indices of those that go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphc.channels import Channels, filters
from graphc.errors import GraphError, fail
from graphc.files import map_file, write_file
from graphc.ops.spec import F64
from graphc.passes._removal import Mask


def read_scores(path: Path) -> Mapping[str, F64]:
    """{layer: numbers} of a JSON or .npz file. Raises GC-F001, GC-T001."""
    data = bytes(map_file(path))
    try:
        if data[:2] == b"PK":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name].astype(np.float64) for name in file.files}
        table: Any = json.loads(data)
        return {name: np.asarray(numbers, np.float64) for name, numbers in table.items()}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        told = f"{path} holds no scores: {error}"
        raise GraphError("GC-T001", told, '{"conv1": [0.1, 0.7, ...], ...}') from None


def write_indices(path: Path, channels: Channels, removed: Mask) -> None:
    """Write {layer: indices of the filters that go}, in the numbering of now. Raises GC-F002."""
    table: dict[str, list[int]] = {}
    for group in channels.groups:
        for name in group.layers:
            gone = np.flatnonzero(removed[filters(channels, name)]).tolist()
            if gone:
                table[name] = gone
    write_file(path, json.dumps(table, indent=1) + "\n")


def read_indices(path: Path, channels: Channels) -> Mask:
    """The classes of the filters that a file lists. Raises GC-F001, GC-T001, GC-R002."""
    mask = np.zeros(channels.count, bool)
    for name, numbers in read_scores(path).items():
        labels = filters(channels, name)
        if numbers.ndim != 1 or not np.isin(numbers, np.arange(len(labels))).all():
            fail("GC-T001", f"{path}: {name!r} has filters 0 .. {len(labels) - 1}")
        mask[labels[numbers.astype(np.int64)]] = True
    return mask


def check_listed(path: Path, channels: Channels, mask: Mask, candidates: Mask) -> None:
    """Raises GC-T001 unless all listed classes may go, and together."""
    for label in np.flatnonzero(mask & ~candidates).tolist():
        why = channels.pinned.get(label, "a layer that is to be skipped has it")
        fail("GC-T001", f"{path}: a filter cannot go: {why}")
    for node, axis, count in channels.balances:
        gone = mask[channels.labels[axis]].reshape(count, -1).sum(1)
        if len(set(gone.tolist())) > 1:
            told = ", ".join(map(str, gone.tolist()))
            fail("GC-T001", f"{path}: the {count} groups of {node.name!r} would lose {told}")
    for group in channels.groups:
        if mask[list(group.classes)].all():
            fail("GC-T001", f"{path}: no filter of {group.layers[0]!r} would be left")


__all__ = ["check_listed", "read_indices", "read_scores", "write_indices"]
