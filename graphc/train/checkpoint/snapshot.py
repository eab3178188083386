"""write_snapshot: three files that appear together, whatever happens meanwhile.

First all three are written under pending names, the `.gck` last, which tells what the other two
are. Then an older state of the same name is removed, the others get their names, and the state
gets its own last. So as long as there is a state, the files beside it are its own; while there is
none, the pending files are whole, and `graphc.train.checkpoint.load` reads those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from graphc.errors import GraphError, fail
from graphc.files import sync_folder
from graphc.front.caffe_net import write_caffe_net
from graphc.ir.graph import Array, Graph
from graphc.train.checkpoint.caffe_state import CaffeState, write_state
from graphc.train.checkpoint.names import FORMATS, Snapshot, finished, snapshot_files, unfinished
from graphc.train.checkpoint.ours import Arrays, Extra, fingerprint, read_extra, write_extra


def write_snapshot(
    prefix: str | Path,
    iteration: int,
    *,
    graph: Graph,
    history: Sequence[Array],
    current_step: int = 0,
    meta: Mapping[str, Any] | None = None,
    arrays: Arrays | None = None,
    format: str = "BINARYPROTO",
) -> Snapshot:
    """Write weights, solver state and `.gck` of one iteration; all of them or none.

    `prefix`: path that the names start with; `graph`: the network as `write_caffe_net` takes it;
    `history`: in the order of `history_slots`; `meta`, `arrays`: what `write_extra` takes;
    `format`: "BINARYPROTO" or "HDF5". Completes or removes what a killed run left under this
    prefix, which no two runs may use at once. Raises GC-F002, telling what is intact, GC-R002,
    and what `write_caffe_net` and `write_state` raise.
    """
    if format not in FORMATS:
        fail("GC-R002", f"no snapshot_format {format!r}", f"one of {', '.join(FORMATS)}")
    files = snapshot_files(prefix, iteration, FORMATS[format])
    tidy(prefix)
    pending = files.pending
    state = CaffeState(iteration, files.learned_net, history, current_step)
    try:
        write_caffe_net(graph, pending.weights, hdf5=format == "HDF5")
        write_state(pending.state, state)
        write_extra(
            pending.extra,
            meta or {},
            arrays or {},
            weights=fingerprint(pending.weights, files.weights.name),
            state=fingerprint(pending.state, files.state.name),
        )
    except BaseException as error:
        _remove(pending.paths)
        if isinstance(error, GraphError) and error.code == "GC-F002":
            _not_written(prefix, files, error)
        raise
    _publish(prefix, files)
    return files


def tidy(prefix: str | Path) -> None:
    """Complete the snapshots that a killed run had whole under pending names, remove the rest."""
    snapshots, drafts = unfinished(prefix)
    _remove(drafts)
    for files in snapshots:
        if whole(files) is not None:
            _publish(prefix, files)
    for files in snapshots:
        _remove(files.pending.paths)


def whole(files: Snapshot) -> Snapshot | None:
    """Where the files of a snapshot are whose state is still pending; None unless all are whole."""
    pending = files.pending
    state = pending.state
    if not state.exists():
        return None
    weights = pending.weights if pending.weights.exists() else files.weights
    for extra in (pending.extra, files.extra):
        if extra.exists() and _is_of(extra, weights, state):
            return Snapshot(weights, state, extra)
    return None


def _is_of(path: Path, weights: Path, state: Path) -> bool:
    try:
        extra: Extra = read_extra(path)
        found = [fingerprint(weights, extra.weights.name), fingerprint(state, extra.state.name)]
    except GraphError:
        return False
    return found == [extra.weights, extra.state]


def _publish(prefix: str | Path, files: Snapshot) -> None:
    """Give the pending files their names, the state last."""
    pending, folder = files.pending, files.state.parent
    try:
        files.state.unlink(missing_ok=True)
        sync_folder(folder)
        for source, target in ((pending.weights, files.weights), (pending.extra, files.extra)):
            if source.exists():
                os.replace(source, target)
        sync_folder(folder)
        os.replace(pending.state, files.state)
        sync_folder(folder)
    except OSError as error:
        reason = GraphError("GC-F002", f"cannot rename: {error.strerror or error}")
        if whole(files) is None:
            _not_written(prefix, files, reason)
        hint = f"it is whole, though: {str(files.state)!r} can be resumed from"
        reason.message = f"the snapshot has not got its names: {error.strerror or error}"
        reason.hint = hint
        raise reason from error


def _not_written(prefix: str | Path, files: Snapshot, error: GraphError) -> NoReturn:
    """Tell what is still there."""
    old = finished(prefix)
    intact = f"{str(old[-1].state)!r} is intact" if old else "there is no earlier one"
    told = f"the snapshot {str(files.state)!r} is not written: {error.message}"
    raise GraphError("GC-F002", told, f"{intact}; {error.hint or 'see to the folder'}") from error


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


__all__ = ["Snapshot", "tidy", "whole", "write_snapshot"]
