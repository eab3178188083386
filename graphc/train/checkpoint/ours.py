"""The `.gck` file: what a resume to the bit needs beyond Caffe's two files.

A ZIP with stored members: `meta.json`, what `arrays.safetensors` cannot hold, and which two files
it belongs to. `graphc.runtime.archive` says what is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from graphc import _core
from graphc.errors import GraphError, fail
from graphc.files import open_file
from graphc.limits import Limits
from graphc.records import record
from graphc.runtime.archive import read_members, write_members
from graphc.tensorfile import arrays_block, parse_arrays
from graphc.train.checkpoint.caffe_state import at_file

FORMAT = 1
META, ARRAYS = "meta.json", "arrays.safetensors"
_PARTS = ("weights", "state")
_MAX_DEPTH = 16

Arrays = Mapping[str, npt.NDArray[Any]]


@record(frozen=True)
class Fingerprint:
    """A file as it was written: its name without folder, size in bytes, CRC-32."""

    name: str
    nbytes: int
    crc32: int


@record(frozen=True)
class Extra:
    """`meta`: JSON values; `arrays`: with their element types; `weights`, `state`: the files that
    belong to it."""

    meta: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    weights: Fingerprint
    state: Fingerprint


def fingerprint(path: str | Path, name: str | None = None) -> Fingerprint:
    """Of a file that is, or will be, called `name` (its own name if None). Raises GC-F001."""
    with open_file(path) as file:
        size = file.seek(0, 2)
        crc = _core.crc32_of_file(file.fileno(), 0, size)
    return Fingerprint(Path(path).name if name is None else name, size, crc)


def write_extra(
    path: str | Path,
    meta: Mapping[str, Any],
    arrays: Arrays,
    *,
    weights: Fingerprint,
    state: Fingerprint,
) -> None:
    """Write all or nothing. `meta`: dicts with names, lists, str, int, float, bool, None; floats
    come back to the bit. `arrays`: floats and integers.

    Raises GC-F002, GC-R002 (anything else in them).
    """
    _check_plain(meta)
    belongs = {part: _told(print_) for part, print_ in zip(_PARTS, (weights, state), strict=True)}
    whole = {"format": FORMAT, "belongs": belongs, "meta": meta}
    block = arrays_block(arrays)
    text = json.dumps(whole, indent=1, sort_keys=True) + "\n"
    write_members(path, {META: text}, {ARRAYS: (len(block), lambda file: _put(file, block))})


def read_extra(path: str | Path, limits: Limits | None = None) -> Extra:
    """What `write_extra` wrote; the arrays are the caller's own.

    Raises GC-F001, GC-K001, GC-L001.
    """
    limits = limits or Limits()
    with at_file(path):
        members = read_members(path, limits, (META, ARRAYS), ())
        whole = _parsed(bytes(members[META]))
        if whole.get("format") != FORMAT:
            told = f"this .gck is of format {whole.get('format')!r}, expected {FORMAT}"
            fail("GC-K001", told, "a newer graphc may have written it")
        meta, belongs = whole.get("meta"), whole.get("belongs")
        if not isinstance(meta, dict) or not isinstance(belongs, dict):
            _strange()
        try:
            arrays = parse_arrays(members[ARRAYS], limits)
        except GraphError as error:
            fail("GC-K001", f"{ARRAYS}: {error.message}")
        weights, state = (_fingerprint(belongs.get(part)) for part in _PARTS)
        return Extra(meta, {n: np.array(a) for n, a in arrays.items()}, weights, state)


def check_belongs(path: str | Path, extra: Extra, weights: str | Path, state: str | Path) -> None:
    """Raise GC-K001 unless these files are those that `path`, a .gck, was written with."""
    for expected, file in ((extra.weights, weights), (extra.state, state)):
        found = fingerprint(file)
        if (found.nbytes, found.crc32) == (expected.nbytes, expected.crc32):
            continue
        hint = "take all files of one snapshot; without the .gck, training goes on as Caffe's would"
        if expected.name != found.name:
            told = f"{str(path)!r} belongs to {expected.name!r}, and not to {str(file)!r}"
        else:
            what = "size" if found.nbytes != expected.nbytes else "content"
            told = f"{str(path)!r} was written with a {expected.name!r} of another {what}"
        fail("GC-K001", told, hint)


def _put(file: Any, block: bytes) -> None:
    file.write(block)


def _told(print_: Fingerprint) -> dict[str, str | int]:
    return {"name": print_.name, "bytes": print_.nbytes, "crc32": print_.crc32}


def _check_plain(value: Any, depth: int = 0) -> None:
    """Only what JSON gives back as it was."""
    if depth > _MAX_DEPTH:
        fail("GC-R002", f"the meta data of a checkpoint go over {_MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            fail("GC-R002", "the meta data of a checkpoint have a key that is no text")
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check_plain(each, depth + 1)
    elif not isinstance(value, str | int | float | None):
        told = f"a {type(value).__name__} among the meta data of a checkpoint"
        fail("GC-R002", told, "arrays go into its arrays")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        fail("GC-K001", f"{META} is no JSON: {error}")
    if not isinstance(found, dict):
        _strange()
    return found


def _fingerprint(told: Any) -> Fingerprint:
    if isinstance(told, dict) and told.keys() == {"name", "bytes", "crc32"}:
        name, nbytes, crc = told["name"], told["bytes"], told["crc32"]
        is_plain = isinstance(name, str) and name == Path(name).name and "\0" not in name
        if is_plain and type(nbytes) is int and type(crc) is int:
            return Fingerprint(name, nbytes, crc)
    _strange()


def _strange() -> NoReturn:
    fail("GC-K001", f"{META} is not what graphc writes")


__all__ = ["Extra", "Fingerprint", "check_belongs", "fingerprint", "read_extra", "write_extra"]
