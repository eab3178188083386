"""HDF5Output: what is written, and what stays when writing fails."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import sig

from graphc.data.hdf5_file import Hdf5File
from graphc.errors import GraphError
from graphc.ir.op import Effect
from graphc.ir.types import Type
from graphc.limits import Limits
from graphc.ops.hdf5_output import HDF5Output, HDF5OutputAttrs
from graphc.ops.spec import Ctx


def out_sig(folder: Path, data: tuple[int, ...], label: tuple[int, ...]) -> Any:
    return replace(sig(folder, ()), ins={"data": Type(data), "label": Type(label)})


def write(path: Path, folder: Path, **ins: Any) -> None:
    a = HDF5OutputAttrs(str(path))
    with closing(HDF5Output.open(a, sig(folder, ()))) as sink:
        HDF5Output.reference(a, ins, Ctx(sig(folder, ()), source=sink))


def test_output_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    for value in (1.0, 1e300):
        write(path, tmp_path, data=np.full((3, 2), value), label=np.arange(3.0))
    with Hdf5File(path, Limits()) as file:
        assert file.shape("data") == (3, 2, 1, 1) and np.isposinf(file.read("data")).all()
        assert file.read("label").ravel().tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5"]
    write(path, tmp_path, data=np.zeros((0, 2)), label=np.zeros(0))
    with Hdf5File(path, Limits()) as file:
        assert file.shape("data") == (0, 2, 1, 1)


def test_output_keeps_the_old_file_if_it_fails(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="GC-F002"):
        write(tmp_path / "none" / "out.h5", tmp_path, data=np.zeros(1), label=np.zeros(1))
    with pytest.raises(GraphError, match="GC-F002"):
        write(Path("/dev/full"), tmp_path, data=np.zeros(1), label=np.zeros(1))
    with pytest.raises(GraphError, match="GC-F003"):
        HDF5Output.open(HDF5OutputAttrs("../out.h5"), sig(tmp_path, (), limits=Limits.strict()))


def test_output_shapes(tmp_path: Path) -> None:
    a = HDF5OutputAttrs("out.h5")
    assert HDF5Output.infer(a, out_sig(tmp_path, (3, 2), (3, 1))) == {}
    for data, label, code in [
        ((3, 2), (2,), "GC-S003"),
        ((3,), (), "GC-S003"),
        ((3, 1, 1, 1, 1), (3,), "GC-S002"),
    ]:
        with pytest.raises(GraphError, match=code):
            HDF5Output.infer(a, out_sig(tmp_path, data, label))
    with pytest.raises(GraphError, match="GC-N008"):
        HDF5Output.infer(HDF5OutputAttrs(), out_sig(tmp_path, (3,), (3,)))
    assert HDF5Output.effects == {Effect.SINK}


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(GraphError, match="GC-U002"):
        HDF5Output.open(HDF5OutputAttrs("out.h5"), sig(tmp_path, ()))
