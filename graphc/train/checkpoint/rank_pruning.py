"""prune_snapshot: a checkpoint with the ranks cut that a decomposed network no longer needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphc import driver
from graphc.errors import GraphError, Loc, fail
from graphc.factor.shrinking import shrunk_histories
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.limits import Limits
from graphc.passes._low_rank.families import families
from graphc.passes.prune_ranks import PruneRanks
from graphc.train.checkpoint.histories import owners
from graphc.train.checkpoint.load import load_snapshot
from graphc.train.checkpoint.snapshot import Snapshot, write_snapshot


def prune_snapshot(
    path: str | Path,
    net: Graph | str | Path,
    each: PruneRanks,
    prefix: str | Path,
    limits: Limits | None = None,
) -> tuple[Graph, Snapshot]:
    """Run prune_ranks on the weights of a checkpoint, and project momentum alike.

    `path`: a file of the checkpoint; `net`: the network that was trained, a prototxt or a Graph of
    phase TRAIN; `each`: the pass, with its options; `prefix`: what the names of the new files start
    with. Returns the network that training goes on with, and the new files; iteration and steps of
    the rate are kept. Raises GC-K001 for a checkpoint of another network, GC-U001 for solvers with
    more than one history (squares cannot be projected), and what `load_snapshot`, `write_snapshot`
    and the pass raise.
    """
    loaded = load_snapshot(path, limits)
    graph = driver.shape(driver.own(net, phase="TRAIN", set=()))
    from graphc.front.weights import load_weights

    load_weights(graph, loaded.weights)
    where, owned, history = Loc(str(loaded.path)), owners(graph), loaded.state.history
    if len(history) > len(owned):
        told = f"{len(history)} histories for {len(owned)} parameters"
        raise GraphError("GC-U001", told, "only those of SGD and Nesterov can be cut", loc=where)
    shapes = [typed(owner).shape for owner in owned]
    if [array.size for array in history] != [int(np.prod(shape)) for shape in shapes]:
        told = "its histories are not those of the net's parameters"
        raise GraphError("GC-K001", told, "it is of another network", loc=where)
    before = {family.stem: family for family in families(graph)}
    factors = {stem: family.factors(graph)[0] for stem, family in before.items()}
    made, report = driver.optimize(graph, [each], measure=False)
    moved: dict[Value, Array] = {}
    by_owner = dict(zip(owned, history, strict=True))
    for change in report.passes[-1].layers:
        if change.decision == "stays":
            continue
        first, second = (f.conv for f in factors[change.layer])
        values = tuple(n.params["weight"].storage for n in before[change.layer].paths[0])
        rank = typed(made.value(values[0].name)).shape[0] // first.group
        old = tuple(
            by_owner[v].reshape(conv.weight.shape).astype(np.float64)
            for v, conv in zip(values, (first, second), strict=True)
        )
        new = shrunk_histories(first, (old[0], old[1]), rank)
        moved |= {v: h.astype(np.float32) for v, h in zip(values, new, strict=True)}
    if not moved:
        fail("GC-T001", "prune_ranks: every layer needs all of its rank", "allow a larger error")
    left = [moved.get(owner, by_owner[owner].reshape(typed(owner).shape)) for owner in owned]
    extra = loaded.extra
    files = write_snapshot(
        prefix,
        loaded.state.iter,
        graph=made,
        history=left,
        current_step=loaded.state.current_step,
        meta=None if extra is None else extra.meta,
        arrays={} if extra is None else dict(extra.arrays),
        format="HDF5" if loaded.path.suffix == ".h5" else "BINARYPROTO",
    )
    return made, files


__all__ = ["prune_snapshot"]
