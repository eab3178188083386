"""load_snapshot: the files of a checkpoint, found by any of their names and held together."""

from __future__ import annotations

import os
from pathlib import Path

from graphc.errors import GraphError, Loc, fail
from graphc.limits import Limits
from graphc.records import record
from graphc.train.checkpoint.caffe_state import CaffeState, read_state
from graphc.train.checkpoint.names import EXTRA, HDF5, STATE, WEIGHTS, of_state
from graphc.train.checkpoint.ours import Extra, check_belongs, read_extra
from graphc.train.checkpoint.snapshot import whole


@record
class Loaded:
    """`state` as read; `weights`: their file; `extra`: of our own file, None where Caffe alone has
    written. `path`: the state's."""

    path: Path
    state: CaffeState
    weights: Path
    extra: Extra | None = None


def load_snapshot(path: str | Path, limits: Limits | None = None) -> Loaded:
    """Read a checkpoint, given its `.solverstate`, `.gck` or `.caffemodel` (each of these may be
    of HDF5); nothing is changed on disk.

    Raises GC-F001, GC-K001 (broken, incomplete, or mixed from several snapshots), GC-L001,
    GC-U002 (no h5py).
    """
    limits = limits or Limits()
    state_path = _state_of(os.fspath(path), limits)
    files = of_state(state_path)
    if not state_path.exists() and files is not None:
        found = whole(files)
        if found is not None:  # a run was killed while it renamed them
            state = read_state(found.state, limits)
            return Loaded(found.state, state, found.weights, read_extra(found.extra, limits))
    state = read_state(state_path, limits)
    extra = None
    if files is not None and files.extra.exists():
        extra = read_extra(files.extra, limits)
    weights = _candidates(state_path, state.learned_net)
    if extra is None or files is None:
        return Loaded(state_path, state, weights[0])
    return Loaded(state_path, state, _fitting(files.extra, extra, weights, state_path), extra)


def _fitting(path: Path, extra: Extra, weights: list[Path], state: Path) -> Path:
    """The first of the weights that the snapshot was written with; else what is wrong with them."""
    wrong: list[GraphError] = []
    for candidate in weights:
        try:
            check_belongs(path, extra, candidate, state)
            return candidate
        except GraphError as error:
            wrong.append(error)
    raise wrong[0].at(loc=Loc(str(state)))


def find_learned_net(state_path: str | Path, learned_net: str) -> Path:
    """The weights that a state names: from the current folder, else beside the state.

    Raises GC-K001 with the places that were looked at.
    """
    return _candidates(Path(state_path), learned_net)[0]


def _candidates(state_path: Path, learned_net: str) -> list[Path]:
    """The files that may be meant, at least one."""
    files = of_state(state_path)
    named = learned_net or (files.learned_net if files is not None else "")
    if not named or "\0" in named:
        told = "the state names no weights"
        raise GraphError("GC-K001", told, loc=Loc(str(state_path)))
    beside = state_path.parent
    places = list(dict.fromkeys([Path(named), beside / named, beside / Path(named).name]))
    found = [place for place in places if _is_file(place)]
    unlike = [p for i, p in enumerate(found) if not any(p.samefile(q) for q in found[:i])]
    if not unlike:
        tried = ", ".join(repr(str(place)) for place in places)
        told = f"the weights that it names are missing (tried {tried})"
        hint = "they must lie where they lay, or beside the state"
        raise GraphError("GC-K001", told, hint, loc=Loc(str(state_path)))
    return unlike


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _state_of(path: str, limits: Limits) -> Path:
    """The state that lies beside the file given."""
    bare, is_hdf5 = path.removesuffix(HDF5), path.endswith(HDF5)
    if bare.endswith(WEIGHTS):
        state = Path(bare.removesuffix(WEIGHTS) + STATE + HDF5 * is_hdf5)
        if os.path.exists(path) and not _can_be(state):
            told = f"there is no {state.name!r} beside these weights"
            raise GraphError(
                "GC-K001", told, "to start from weights, give --weights", loc=Loc(path)
            )
        return state
    if path.endswith(EXTRA):
        stem = path.removesuffix(EXTRA)
        found = [s for s in (Path(stem + STATE), Path(stem + STATE + HDF5)) if _can_be(s)]
        if len(found) == 2:
            named = read_extra(path, limits).state.name
            found = [s for s in found if s.name == named] or found
        if not found:
            fail("GC-K001", f"there is no {Path(stem + STATE).name!r} beside {path!r}")
        return found[0]
    return Path(path)


def _can_be(state: Path) -> bool:
    files = of_state(state)
    return _is_file(state) or (files is not None and whole(files) is not None)


__all__ = ["Loaded", "find_learned_net", "load_snapshot"]
