"""HDF5Data: order of rows, conversions, and files that reach out of themselves."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.makers import sig

from graphc.data.hdf5_file import Hdf5File
from graphc.data.transform import TransformParam
from graphc.errors import GraphError
from graphc.ir.types import Type
from graphc.limits import Limits
from graphc.ops.hdf5_data import HDF5Data, HDF5DataAttrs

TOPS = ("y0", "y1")


def save(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.h5 with rows 0, 1, 2 and b.h5 with rows 3, 4; list.txt names both."""
    for name, rows in (("a", np.arange(3)), ("b", np.arange(3, 5))):
        save(tmp_path / f"{name}.h5", x=np.stack([rows, -rows], 1).astype(float), n=rows)
    (tmp_path / "list.txt").write_text("a.h5\n\nb.h5\n")
    return tmp_path


def attrs(batch: int = 2, **fields: Any) -> HDF5DataAttrs:
    return HDF5DataAttrs("list.txt", batch, **fields)


def the_sig(folder: Path, **more: Any) -> Any:
    return sig(folder, TOPS, names=("x", "n"), **more)


def rows(source: Any, batches: int) -> list[list[int]]:
    found = []
    for _ in range(batches):
        batch = source.next()
        assert np.array_equal(batch["y0"], np.stack([batch["y1"], -batch["y1"]], 1))
        assert batch["y0"].dtype == batch["y1"].dtype == np.float32
        found.append([int(n) for n in batch["y1"]])
    return found


def refused(folder: Path, s: Any = None, **fields: Any) -> GraphError:
    with pytest.raises(GraphError) as caught:
        HDF5Data.infer(attrs(**fields), s or the_sig(folder))
    with (
        pytest.raises(GraphError) as again,
        closing(HDF5Data.open(attrs(**fields), s or the_sig(folder))) as source,
    ):
        source.next()
    assert caught.value.code == again.value.code
    return caught.value


def test_walks_files_and_wraps(folder: Path) -> None:
    with closing(HDF5Data.open(attrs(4), the_sig(folder))) as source:
        assert rows(source, 3) == [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4, 0, 1]]
        assert source.state() == {"file": 0, "row": 2, "epoch": 2}
        source.reset()
        assert rows(source, 1) == [[0, 1, 2, 3]]
    with closing(HDF5Data.open(attrs(11), the_sig(folder))) as source:
        assert rows(source, 1) == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]]


def test_types(folder: Path) -> None:
    assert HDF5Data.infer(attrs(7), the_sig(folder)) == {"y0": Type((7, 2)), "y1": Type((7,))}
    assert HDF5Data.rebatch(attrs(7), 3) == attrs(3)
    built = the_sig(folder, y0=Type((3, 2)), y1=Type((3,)))
    with closing(HDF5Data.open(attrs(7), built)) as source:
        assert rows(source, 1) == [[0, 1, 2]]
    with (
        closing(HDF5Data.open(attrs(7), the_sig(folder, y0=Type((3, 5))))) as source,
        pytest.raises(GraphError, match="GC-D002"),
    ):
        source.next()


def test_shuffle_and_restore(folder: Path) -> None:
    a = attrs(5, shuffle=True)
    with closing(HDF5Data.open(a, the_sig(folder), 3)) as source:
        epochs = rows(source, 8)
        assert all(sorted(e) == [0, 1, 2, 3, 4] for e in epochs)
        files = [[n > 2 for n in e] for e in epochs]
        assert {tuple(f) for f in files} == {(0, 0, 0, 1, 1), (1, 1, 0, 0, 0)}  # whole files
        assert len({tuple(e) for e in epochs}) > 4
        source.restore({"file": 1, "row": 1, "epoch": 2})
        first = epochs[2].index(epochs[2][-1])
        assert rows(source, 1)[0][0] in epochs[2][first - 1 :]
        for bad in ({"file": 2, "row": 0, "epoch": 0}, {"file": 0}):
            with pytest.raises(GraphError, match="GC-D002"):
                source.restore(bad)
        source.restore({"file": 0, "row": 10, "epoch": 0})
        with pytest.raises(GraphError, match="GC-D002"):
            source.next()
        assert source.state() == {"file": 0, "row": 10, "epoch": 0}


@pytest.mark.parametrize("dtype", ["f8", "f2", ">f4", "i1", "u8", "?", ">i2"])
def test_numbers_become_float32(folder: Path, dtype: str) -> None:
    values = np.array([0, 1, 1, 0], dtype)
    save(folder / "a.h5", x=values)
    with Hdf5File(folder / "a.h5", Limits()) as file:
        found = file.read("x")
    assert found.dtype == np.float32 and found.tolist() == [0, 1, 1, 0]


def test_doubles_out_of_range(folder: Path) -> None:
    save(folder / "a.h5", x=np.array([1e300, -1e300, np.nan, 2**53 + 1.0]))
    with Hdf5File(folder / "a.h5", Limits()) as file:
        found = file.read("x")
    assert np.array_equal(found, np.array([np.inf, -np.inf, np.nan, 2**53], "f4"), equal_nan=True)


def test_compressed_and_nested(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("g/x", data=np.zeros((400, 2000)), compression="gzip", chunks=True)
        file["y"] = np.zeros((0, 3))
    with Hdf5File(folder / "a.h5", Limits()) as found:
        assert found.read("g/x").shape == found.shape("/g//x") == (400, 2000)
        assert found.read("y").shape == (0, 3)


def soft(file: Any) -> None:
    file["real"] = np.zeros(3)
    file["x"] = h5py.SoftLink("/real")


def external_link(file: Any) -> None:
    file["x"] = h5py.ExternalLink("b.h5", "x")


def dangling(file: Any) -> None:
    file["x"] = h5py.SoftLink("/nowhere")


def external_storage(file: Any) -> None:
    file.create_dataset("x", (3,), "f4", external=[("/etc/passwd", 0, 12)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((5, 2), "f8")
    layout[:3] = h5py.VirtualSource("a2.h5", "x", (3, 2))
    file.create_virtual_dataset("x", layout)


def group_by_soft_link(file: Any) -> None:
    file["real/x"] = np.zeros(3)
    file["g"] = h5py.SoftLink("/real")


@pytest.mark.parametrize("make", [soft, external_link, dangling, external_storage, virtual])
def test_nothing_outside_is_read(folder: Path, make: Any) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        make(file)
        file["n"] = np.zeros(3)
    error = refused(folder)
    assert error.code == "GC-F003" and "a.h5" in error.message and "'x'" in error.message


def test_groups_behind_links(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        group_by_soft_link(file)
    with (
        Hdf5File(folder / "a.h5", Limits()) as found,
        pytest.raises(GraphError, match="GC-F003"),
    ):
        found.read("g/x")


@pytest.mark.parametrize("chunks", [None, (1024, 1024)])
def test_shapes_that_lie(folder: Path, chunks: Any) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", (30_000, 30_000), "f4", chunks=chunks)
        file["n"] = np.zeros(30_000)
    error = refused(folder)
    assert error.code == "GC-D001" and "30000" in error.message
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", (2**40, 2**20), "f4", chunks=(1024, 1024))
        file["n"] = np.zeros(3)
    assert refused(folder).code == "GC-L001"
    assert refused(folder, the_sig(folder, limits=Limits(tensor_bytes=8))).code == "GC-L001"


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"n": np.zeros(3)}, "GC-D001"),
        ({"x": np.zeros(3), "n": np.zeros(2)}, "GC-D002"),
        ({"x": np.zeros(()), "n": np.zeros(2)}, "GC-D002"),
        ({"x": np.zeros((0, 2)), "n": np.zeros(0)}, "GC-D002"),
        ({"x": np.array([b"ab"]), "n": np.zeros(1)}, "GC-D002"),
        ({"x": np.zeros(1, "c8"), "n": np.zeros(1)}, "GC-D002"),
        ({"x/inner": np.zeros(3), "n": np.zeros(3)}, "GC-D001"),
        ({"x": h5py.Empty("f4"), "n": np.zeros(3)}, "GC-D002"),
    ],
)
def test_datasets_that_do_not_fit(folder: Path, arrays: dict[str, Any], code: str) -> None:
    save(folder / "a.h5", **arrays)
    assert refused(folder).code == code


def test_rows_of_another_shape_in_the_next_file(folder: Path) -> None:
    save(folder / "b.h5", x=np.zeros((2, 3)), n=np.zeros(2))
    with closing(HDF5Data.open(attrs(2), the_sig(folder))) as source:
        source.next()
        with pytest.raises(GraphError, match=r"b\.h5") as caught:
            source.next()
    assert caught.value.code == "GC-D002"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "GC-D001"),
        ("none.h5", "GC-F001"),
        ("list.txt", "GC-D001"),
        (".", "GC-F001"),
        ("x" * 5000, "GC-D002"),
    ],
)
def test_bad_lists(folder: Path, text: str, code: str) -> None:
    (folder / "list.txt").write_text(text)
    assert refused(folder).code == code


def test_truncated_file(folder: Path) -> None:
    save(folder / "a.h5", x=np.arange(6000).reshape(3000, 2), n=np.arange(3000))
    data = (folder / "a.h5").read_bytes()
    for size in (0, 4, 100, 2000, len(data) // 2, len(data) - 1):
        (folder / "a.h5").write_bytes(data[:size])
        assert refused(folder).code == "GC-D001"


def test_options(folder: Path) -> None:
    assert refused(folder, transform_param=TransformParam(scale=2)).code == "GC-N008"
    assert refused(folder, batch=0).code == "GC-N008"
    with pytest.raises(GraphError, match="GC-N008"):
        HDF5Data.infer(HDF5DataAttrs(batch_size=1), the_sig(folder))
    with pytest.raises(GraphError, match="GC-F001"):
        HDF5Data.infer(HDF5DataAttrs("none.txt", 1), the_sig(folder))
    strict = the_sig(folder, limits=Limits(confined=True))
    HDF5Data.infer(attrs(), strict)
    (folder / "list.txt").write_text("../a.h5")
    assert refused(folder, strict).code == "GC-F003"


def test_without_h5py(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    error = refused(folder)
    assert error.code == "GC-U002" and "graphc[data]" in error.hint
