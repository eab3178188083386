"""save, restore: a training run to files and back, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.errors import GraphError, Loc, fail
from graphc.ir.clone import forward_part
from graphc.ir.graph import Array, Graph
from graphc.ir.op import OURS, Kind
from graphc.runtime.training import SolverNet
from graphc.train.checkpoint.histories import (
    Slot,
    history_slots,
    loaded_histories,
    saved_histories,
)
from graphc.train.checkpoint.load import Loaded
from graphc.train.checkpoint.snapshot import write_snapshot

if TYPE_CHECKING:
    from graphc.train.solver import Solver


def save(solver: Solver, prefix: str | Path) -> str:
    """Write a snapshot; returns the path of its weights. Raises GC-F002 and what `write_snapshot`
    raises, GC-P005 without a prefix."""
    if not str(prefix):
        fail("GC-P005", "there is no prefix for snapshots", "add snapshot_prefix to the solver")
    graph = _saved(solver)
    arrays: dict[str, Array] = {}
    for index, net in enumerate(_nets(solver)):
        arrays |= {f"{index}/{name}": array for name, array in _carried(net).items()}
    meta = {
        "type": solver.settings.rule.type,
        "seed": solver.seed,
        "schedule": solver.schedule.state(),
        "smoothed": solver.smoothed.state(),
        "nets": [{"passed": n.passed, "positions": n.positions()} for n in _nets(solver)],
    }
    written = write_snapshot(
        prefix,
        solver.iter,
        graph=graph,
        history=saved_histories(_slots(solver), solver.net.graph.weight),
        current_step=solver.schedule.current_step,
        meta=meta,
        arrays=arrays,
        format="HDF5" if solver.settings.snapshot_hdf5 else "BINARYPROTO",
    )
    return written.learned_net


def restore(solver: Solver, loaded: Loaded) -> None:
    """Bring a fresh solver, which has the snapshot's weights, where the snapshot was taken.

    Raises GC-K001 for a snapshot of another solver type or network.
    """
    state, rule = loaded.state, solver.settings.rule.type
    try:
        written = rule if loaded.extra is None else loaded.extra.meta.get("type")
        if written != rule:
            hint = "--set type=... , or the solver prototxt it was written with"
            fail("GC-K001", f"it is of solver type {written!r}, this solver is {rule!r}", hint)
        histories = loaded_histories(_slots(solver), state.history, "the snapshot")
    except GraphError as error:
        raise error.at(loc=Loc(str(loaded.path))) from None
    for value, array in histories.items():
        solver.net.graph.weight(value)[...] = array
    solver.iter = solver.smoothed.start = state.iter
    solver.schedule.current_step = state.current_step
    if loaded.extra is None:
        solver.net.go_on(state.iter * solver.settings.iter_size, {})
        return
    try:
        _go_on(solver, loaded.extra.meta, loaded.extra.arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"what goes with it is incomplete: {error!r}"
        raise GraphError("GC-K001", told, loc=Loc(str(loaded.path))) from None
    except GraphError as error:
        raise error.at(loc=Loc(str(loaded.path))) from None


def _go_on(solver: Solver, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    solver.schedule.restore(meta["schedule"])
    solver.smoothed.restore(meta["smoothed"])
    for index, (net, told) in enumerate(zip(_nets(solver), meta["nets"], strict=False)):
        net.go_on(int(told["passed"]), told["positions"])
        for name, array in _carried(net).items():
            saved = arrays.get(f"{index}/{name}")
            if saved is None or saved.shape != array.shape:
                fail("GC-K001", f"it has no {name!r} that fits")
            array[...] = saved


def _nets(solver: Solver) -> tuple[SolverNet, ...]:
    return (solver.net, *solver.tests)


def _carried(net: SolverNet) -> dict[str, Array]:
    """What no file of weights holds, and no state."""
    values = [v for v in net.graph.param_values() if v.kind is Kind.CARRY]
    return {value.name: net.graph.weight(value) for value in values}


def _saved(solver: Solver) -> Graph:
    """The network as loaded, with the weights of now; where layers were taken apart and parameters
    with them, the network as it is trained."""
    graph, trained = solver.graph, solver.net.graph
    names = [v.name for v in graph.param_values() if v.kind not in OURS]
    if not all(name in trained.weights for name in names):
        return forward_part(trained)
    graph.weights = {name: trained.weights[name] for name in names}
    return graph


def _slots(solver: Solver) -> list[Slot]:
    return history_slots(_saved(solver), solver.net.graph, solver.settings.rule)


__all__ = ["restore", "save"]
