"""The names of a snapshot's files, finished and not yet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from graphc.records import record

WEIGHTS, STATE, EXTRA, HDF5 = ".caffemodel", ".solverstate", ".gck", ".h5"
FORMATS = {"BINARYPROTO": "", "HDF5": HDF5}
"""Names of Caffe's snapshot_format, and what the file names then end in."""

_STATE_NAME = re.compile(r"(.*)\.solverstate(\.h5)?", re.DOTALL)
_PENDING = ".pending-"
_TEMPORARY = r"\.([0-9a-f]{8})\.tmp"  # as `graphc.files` calls its drafts


@record(frozen=True)
class Snapshot:
    """The files of one snapshot; `learned_net`: the weights' path as it was given."""

    weights: Path
    state: Path
    extra: Path
    learned_net: str = ""

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        return self.weights, self.state, self.extra

    @property
    def pending(self) -> Snapshot:
        """The names that the files have until all of them are whole."""
        weights, state, extra = (path.with_name(_PENDING + path.name) for path in self.paths)
        return Snapshot(weights, state, extra)


def snapshot_files(prefix: str | Path, iteration: int, suffix: str = "") -> Snapshot:
    """`<prefix>_iter_<N>.caffemodel`, `.solverstate`, each with `suffix` (".h5"), and `.gck`."""
    return _files(f"{os.fspath(prefix)}_iter_{iteration}", suffix)


def of_state(state: str | Path) -> Snapshot | None:
    """The files that a state of this name lies among; None if it is no `.solverstate`."""
    found = _STATE_NAME.fullmatch(os.fspath(state))
    return _files(found[1], found[2] or "") if found else None


def _files(stem: str, suffix: str) -> Snapshot:
    learned = f"{stem}{WEIGHTS}{suffix}"
    return Snapshot(Path(learned), Path(f"{stem}{STATE}{suffix}"), Path(f"{stem}{EXTRA}"), learned)


def finished(prefix: str | Path) -> list[Snapshot]:
    """Those with this prefix whose state is there, by iteration."""
    pattern = re.compile(rf"{_stem(prefix)}\.solverstate(\.h5)?", re.DOTALL)
    found = [match for match in map(pattern.fullmatch, _names_beside(prefix)) if match]
    found.sort(key=lambda match: int(match[1]))
    return [snapshot_files(prefix, int(match[1]), match[2] or "") for match in found]


def unfinished(prefix: str | Path) -> tuple[list[Snapshot], list[Path]]:
    """Snapshots with this prefix that have files under pending names, and drafts of such files."""
    kinds = r"\.(?:caffemodel|solverstate|gck)(\.h5)?"
    start = rf"\.?{re.escape(_PENDING)}{_stem(prefix)}"
    pattern = re.compile(rf"{start}{kinds}(?:{_TEMPORARY})?", re.DOTALL)
    found: dict[tuple[int, str], Snapshot] = {}
    drafts: list[Path] = []
    for name in _names_beside(prefix):
        match = pattern.fullmatch(name)
        if match is None:
            continue
        if match[3]:
            drafts.append(Path(os.path.dirname(os.fspath(prefix)), name))
            continue
        iteration = int(match[1])
        suffixes = FORMATS.values() if name.endswith(EXTRA) else [match[2] or ""]
        for suffix in suffixes:
            found[iteration, suffix] = snapshot_files(prefix, iteration, suffix)
    return list(found.values()), drafts


def _stem(prefix: str | Path) -> str:
    return re.escape(os.path.basename(os.fspath(prefix))) + r"_iter_(\d{1,10})"


def _names_beside(prefix: str | Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(os.path.dirname(os.fspath(prefix)) or ".") as entries:
        yield from (entry.name for entry in entries)


__all__ = ["FORMATS", "Snapshot", "finished", "of_state", "snapshot_files", "unfinished"]
