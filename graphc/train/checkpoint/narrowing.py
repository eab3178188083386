"""narrow_snapshot: a checkpoint without the filters that a network has lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphc import driver
from graphc.channels import channel_groups
from graphc.errors import GraphError, Loc, fail
from graphc.ir.graph import Array, Graph, typed
from graphc.limits import Limits
from graphc.passes._listed import check_listed, read_indices
from graphc.passes._removal import Removal
from graphc.train.checkpoint.histories import owners
from graphc.train.checkpoint.load import load_snapshot
from graphc.train.checkpoint.snapshot import Snapshot, write_snapshot


def narrow_snapshot(
    path: str | Path,
    net: Graph | str | Path,
    listed: str | Path,
    prefix: str | Path,
    limits: Limits | None = None,
) -> Snapshot:
    """Take filters out of a checkpoint: of weights, histories and carried state alike.

    `path`: a file of the checkpoint; `net`: the network that was trained, a prototxt or a Graph of
    phase TRAIN; `listed`: the filters that go, as `remove_filters:save=FILE` writes them; `prefix`:
    what the names of the new files start with. Training goes on from them with the network that
    criterion=listed makes of `net`. Raises GC-K001 for a checkpoint of another network, and what
    `load_snapshot`, `write_snapshot` and criterion=listed raise.
    """
    loaded = load_snapshot(path, limits)
    graph = driver.shape(driver.own(net, phase="TRAIN", set=()))
    from graphc.front.weights import load_weights

    load_weights(graph, loaded.weights)
    channels = channel_groups(graph)
    mask = read_indices(Path(listed), channels)
    check_listed(Path(listed), channels, mask, np.ones_like(mask))
    for label in np.flatnonzero(mask).tolist():
        if label in channels.pinned:
            fail("GC-T001", f"{listed}: a filter cannot go: {channels.pinned[label]}")
    removal = Removal(channels, mask)
    owned, history = owners(graph), loaded.state.history
    if owned and len(history) % len(owned):
        told = f"it has {len(history)} histories, the net {len(owned)} parameters"
        raise GraphError("GC-K001", told, "it is of another network", loc=Loc(str(loaded.path)))
    left: list[Array] = []
    for at, array in enumerate(history):
        owner = owned[at % len(owned)]
        if array.size != typed(owner).size:
            told = f"history {at} (of {owner.name!r}) has shape {array.shape}"
            raise GraphError("GC-K001", told, "it is of another network", loc=Loc(str(path)))
        left.append(removal.sliced(owner, array))
    values = graph.by_name()
    extra = loaded.extra
    arrays = {} if extra is None else dict(extra.arrays)
    for key, array in arrays.items():
        value = values.get(key.partition("/")[2])
        if value is not None and array.shape == typed(value).shape:
            arrays[key] = removal.sliced(value, array)
    removal.apply(graph)
    return write_snapshot(
        prefix,
        loaded.state.iter,
        graph=graph,
        history=left,
        current_step=loaded.state.current_step,
        meta=None if extra is None else extra.meta,
        arrays=arrays,
        format="HDF5" if loaded.path.suffix == ".h5" else "BINARYPROTO",
    )


__all__ = ["narrow_snapshot"]
