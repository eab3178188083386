"""CaffeState: the solver state that Caffe itself writes and reads, binary or HDF5 by suffix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data import wire_writer as wire
from graphc.data.hdf5_file import Hdf5File, h5py
from graphc.data.wire import BYTES, VARINT, fields, signed
from graphc.errors import GraphError, Loc, fail
from graphc.files import map_file, replacing
from graphc.front.caffemodel import read_blob
from graphc.front.caffemodel_writer import MAX_MESSAGE, blob_size, write_blob
from graphc.ir.graph import Array
from graphc.limits import Limits
from graphc.records import record

HDF5_SUFFIX = ".h5"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ITER, _NET, _HISTORY, _STEP = 1, 2, 3, 4  # fields of SolverState
_KINDS = {_ITER: VARINT, _NET: BYTES, _HISTORY: BYTES, _STEP: VARINT}
_MAX_INT = (1 << 31) - 1
_BROKEN = ("GC-P002", "GC-W003", "GC-D001", "GC-D002", "GC-A001")


@record
class CaffeState:
    """`iter`: updates made; `learned_net`: path of the weights as it was given; `history`: float32
    arrays in Caffe's order; `current_step`: the multistep policy's."""

    iter: int
    learned_net: str = ""
    history: Sequence[Array] = field(default_factory=list)
    current_step: int = 0


def read_state(path: str | Path, limits: Limits | None = None) -> CaffeState:
    """The state in a `.solverstate` or, by its suffix, `.solverstate.h5` file of Caffe or ours.

    The arrays are the caller's own. Raises GC-F001, GC-F003, GC-K001 (broken, or another kind of
    file), GC-L001, GC-U001 (an odd element type), GC-U002 (no h5py), with the file.
    """
    limits = limits or Limits()
    with at_file(path):
        if os.fspath(path).endswith(HDF5_SUFFIX):
            state = _read_hdf5(Path(path), limits)
        else:
            state = _read_binary(map_file(path), limits)
        if state.iter < 0 or state.current_step < 0:
            fail("GC-K001", f"iteration {state.iter}, step {state.current_step}: none can be")
        return state


def write_state(path: str | Path, state: CaffeState) -> None:
    """Write the state as Caffe does, HDF5 if the name ends in `.h5`; all of it or nothing.

    Raises GC-F002, GC-U001 (over the 2 GiB of a message; numbers over 31 bits), GC-U002.
    """
    if not 0 <= state.iter <= _MAX_INT or not 0 <= state.current_step <= _MAX_INT:
        fail("GC-U001", f"Caffe counts to {_MAX_INT:,}; the state is at {state.iter:,}")
    if os.fspath(path).endswith(HDF5_SUFFIX):
        _write_hdf5(path, state)
    else:
        _write_binary(path, state)


@contextmanager
def at_file(path: str | Path) -> Iterator[None]:
    """Name `path` in errors, and let what is broken in it be a checkpoint's error (GC-K001)."""
    try:
        yield
    except GraphError as error:
        if error.code in _BROKEN:
            error = GraphError("GC-K001", error.message, error.hint)
        raise error.at(loc=Loc(os.fspath(path))) from None


def _read_binary(data: memoryview, limits: Limits) -> CaffeState:
    limits.check("binary_bytes", len(data), "the size of the state in bytes")
    if bytes(data[:8]) == _HDF5_MAGIC:
        told = "this is an HDF5 file"
        fail("GC-K001", told, "whether a state is one goes by its name: it must end in .h5")
    numbers, net, blobs = {_STEP: 0}, b"", list[memoryview]()
    for number, kind, value in fields(data, limits.binary_fields):
        if _KINDS.get(number, kind) != kind:
            fail("GC-K001", "this is no solver state", "weights alone are given with --weights")
        if isinstance(value, int):
            numbers[number] = signed(value)
        elif number == _NET:
            net = bytes(value)
        elif number == _HISTORY:
            blobs.append(value)
            limits.check("layers", len(blobs), "the number of histories")
    if _ITER not in numbers:
        told = f"{len(data):,} bytes do not tell an iteration"
        fail("GC-K001", told, "the file is empty, cut short or no solver state")
    history = [np.array(read_blob(blob, limits)) for blob in blobs]
    return CaffeState(numbers[_ITER], os.fsdecode(net), history, numbers[_STEP])


def _write_binary(path: str | Path, state: CaffeState) -> None:
    start = wire.number_field(_ITER, state.iter) + wire.chunk(_NET, os.fsencode(state.learned_net))
    end = wire.number_field(_STEP, state.current_step)
    total = len(start) + sum(map(blob_size, state.history)) + len(end)
    if total > MAX_MESSAGE:
        told = f"the state takes {total:,} bytes, over the {MAX_MESSAGE:,} of a .solverstate"
        fail("GC-U001", told, "write snapshot_format: HDF5")
    with replacing(path) as file:
        file.write(start)
        for array in state.history:
            write_blob(file, _HISTORY, array)
        file.write(end)


def _read_hdf5(path: Path, limits: Limits) -> CaffeState:
    with Hdf5File(path, limits) as file:
        limits.check("tensor_bytes", file.size, "the size of the state in bytes")
        members = file.members("history")
        if sorted(members) != sorted(map(str, range(len(members)))):
            fail("GC-K001", "the histories are not numbered from 0 on")
        history, size = list[Array](), 0
        for index in range(len(members)):
            size += 4 * int(np.prod(file.shape(f"history/{index}"), dtype=object))
            limits.check("tensor_bytes", size, "the size of all histories in bytes")
            history.append(file.read(f"history/{index}"))
        net = os.fsdecode(file.text("learned_net"))
        return CaffeState(file.integer("iter"), net, history, file.integer("current_step"))


def _write_hdf5(path: str | Path, state: CaffeState) -> None:
    package = h5py()
    with replacing(path) as draft:
        try:
            with package.File(draft, "w", libver="earliest") as file:
                file.create_dataset("iter", data=np.array([state.iter], "<i4"))
                _write_text(package, file, "learned_net", os.fsencode(state.learned_net))
                file.create_dataset("current_step", data=np.array([state.current_step], "<i4"))
                group = file.create_group("history")
                for index, array in enumerate(state.history):
                    group.create_dataset(str(index), data=array, dtype="<f4")
        except (GraphError, OSError):
            raise
        except Exception as error:  # h5py lets errors of many kinds through
            fail("GC-F002", f"cannot write {str(path)!r}: {error}")


def _write_text(package: Any, file: Any, name: str, text: bytes) -> None:
    """A string that ends in NUL within its size, which Caffe's reader counts on."""
    kind = package.h5t.C_S1.copy()
    kind.set_size(len(text) + 1)
    space = package.h5s.create(package.h5s.SCALAR)
    dataset = package.h5d.create(file.id, name.encode(), kind, space)
    dataset.write(space, space, np.array(text + b"\0", f"S{len(text) + 1}"), kind)


__all__ = ["HDF5_SUFFIX", "CaffeState", "at_file", "read_state", "write_state"]
