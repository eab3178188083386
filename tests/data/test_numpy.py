"""NumpyFile and NumpyData: arrays as they are, in any order; what is no array is refused."""

from __future__ import annotations

import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import blob, datum, sig, write_lmdb

import graphc
from graphc.data.numpy_file import NumpyFile
from graphc.data.prefetch import Prefetcher
from graphc.data.transform import NO_TRANSFORM, TransformParam
from graphc.errors import GraphError
from graphc.ir.types import Type
from graphc.limits import Limits
from graphc.ops.data import Data, DataAttrs
from graphc.ops.numpy_data import NumpyData, NumpyDataAttrs

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (7, 3, 6, 5), np.uint8)
LABELS = np.arange(7) % 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """x.npz, the same packed as z.npz, and as an LMDB."""
    np.savez(tmp_path / "x.npz", data=IMAGES, label=LABELS, more=IMAGES / 7)
    np.savez_compressed(tmp_path / "z.npz", data=IMAGES, label=LABELS, more=IMAGES / 7)
    write_lmdb(tmp_path / "db", [datum(x, int(y)) for x, y in zip(IMAGES, LABELS, strict=True)])
    return tmp_path


def attrs(batch: int = 3, source: str = "x.npz", **fields: Any) -> NumpyDataAttrs:
    return NumpyDataAttrs(source, batch, **fields)


def batches(a: Any, s: Any, steps: int, seed: int = 1, op: Any = NumpyData) -> list[Any]:
    with closing(op.open(a, s, seed)) as source:
        return [source.next() for _ in range(steps)]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(
        np.array_equal(x[role], y[role]) and x[role].dtype == y[role].dtype == np.float32
        for x, y in zip(a, b, strict=True)
        for role in x
    )


@pytest.mark.parametrize(
    "param",
    [
        TransformParam(),
        TransformParam(scale=0.3, mean_value=(1.0, 2.0, 3.0), crop_size=4, mirror=True),
        TransformParam(mean_file="mean", crop_size=5),
    ],
)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_as_data_from_an_lmdb(folder: Path, param: TransformParam, phase: Any) -> None:
    (folder / "mean").write_bytes(blob(RNG.random((3, 6, 5), np.float32)))
    s = sig(folder, phase=phase)
    stored = DataAttrs("db", 3, backend="LMDB", transform_param=param)
    expected = batches(stored, s, 8, op=Data)
    for source in ("x.npz", "z.npz"):
        found = batches(attrs(source=source, transform_param=param), s, 8)
        assert same(found, expected)
    assert same(
        batches(attrs(17, transform_param=param), s, 2),
        batches(DataAttrs("db", 17, backend="LMDB", transform_param=param), s, 2, op=Data),
    )


def test_any_tops_and_types(folder: Path) -> None:
    s = sig(folder, ("y0", "y1", "y2"), names=("more", "label", "data"))
    assert NumpyData.infer(attrs(2), s) == {
        "y0": Type((2, 3, 6, 5)),
        "y1": Type((2,)),
        "y2": Type((2, 3, 6, 5)),
    }
    (batch,) = batches(attrs(7), s, 1)
    assert np.array_equal(batch["y0"], (IMAGES / 7).astype(np.float32))
    assert batch["y1"].tolist() == LABELS.tolist() and np.array_equal(batch["y2"], IMAGES)
    renamed = attrs(7, array=("data", "label"))
    (batch,) = batches(renamed, sig(folder, ("y0", "y1"), names=("a", "b")), 1)
    assert np.array_equal(batch["y0"], IMAGES)
    assert NumpyData.rebatch(attrs(2), 5).batch_size == 5


@pytest.mark.parametrize("dtype", ["u1", "i1", ">u2", "<i8", "f2", ">f4", "f8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_number(tmp_path: Path, dtype: str, order: Any) -> None:
    array = np.asarray(RNG.integers(0, 2, (5, 4, 3)), dtype, order=order)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", y=array)
    for source in ("x.npy", "x.npz"):
        (batch,) = batches(attrs(5, source), sig(tmp_path, ("y",)), 1)
        assert np.array_equal(batch["y"], array.astype(np.float32))


def test_shuffle_is_of_seed_and_epoch_alone(folder: Path) -> None:
    np.savez(folder / "n.npz", data=np.arange(7.0))
    a, s = attrs(2, "n.npz", shuffle=True), sig(folder, ("data",))

    def order(seed: int) -> np.ndarray:
        return np.concatenate([b["data"] for b in batches(a, s, 14, seed)]).reshape(4, 7)

    first = order(1)
    assert all(sorted(row) == list(range(7)) for row in first.tolist())
    assert len({tuple(row) for row in first.tolist()}) > 1
    assert np.array_equal(first, order(1)) and not np.array_equal(first, order(2))
    with closing(NumpyData.open(a, s, 1)) as source:
        source.restore({"record": 3, "epoch": 2})  # where nobody has been before
        assert source.next()["data"].tolist() == first[2, 3:5].tolist()
        assert source.state() == {"record": 5, "epoch": 2}
        assert source.origin({"record": 6, "epoch": 1}, 1).endswith(f"row {int(first[2, 0])}")
        source.reset()
        assert source.next()["data"].tolist() == first[0, :2].tolist()
        with pytest.raises(GraphError, match="GC-D002"):
            source.restore({"record": 7, "epoch": 0})


def test_plain_members_are_mapped(folder: Path) -> None:
    def owner(array: Any) -> Any:
        while isinstance(array, np.ndarray) and array.base is not None:
            array = array.base
        return array.obj if isinstance(array, memoryview) else array

    kinds = {}
    for name in ("x.npz", "z.npz"):
        with NumpyFile(folder / name, Limits()) as file:
            array = file.array("data")
        assert np.array_equal(array, IMAGES) and not array.flags.writeable
        kinds[name] = type(owner(array)).__name__
    assert kinds == {"x.npz": "mmap", "z.npz": "bytes"}


def refused(a: NumpyDataAttrs, s: Any) -> GraphError:
    with pytest.raises(GraphError) as caught:
        NumpyData.infer(a, s)
    return caught.value


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    def code(param: TransformParam = NO_TRANSFORM, array: Any = (), **arrays: Any) -> str:
        np.savez(tmp_path / "x.npz", **arrays)
        error = refused(attrs(2, transform_param=param, array=array), sig(tmp_path))
        assert "x.npz" in error.message or error.code == "GC-N008"
        return error.code

    x = np.zeros((4, 1, 3, 3), np.float32)
    crop = TransformParam(crop_size=2)
    assert code(data=x) == "GC-D001"  # no label
    assert code(data=x, label=np.zeros(3)) == "GC-D002"
    assert code(data=x, label=np.float32(1)) == "GC-D002"
    assert code(data=x[:0], label=np.zeros(0)) == "GC-D001"
    assert code(data=np.array(["a"] * 4), label=np.zeros(4)) == "GC-D002"
    assert code(data=np.array([{}] * 4), label=np.zeros(4)) == "GC-D002"
    assert code(data=x.astype(complex), label=np.zeros(4)) == "GC-D002"
    assert code(crop, data=x[:, 0], label=np.zeros(4)) == "GC-D002"
    assert code(TransformParam(crop_size=4), data=x, label=np.zeros(4)) == "GC-D002"
    assert code(array=("data",), data=x, label=np.zeros(4)) == "GC-N008"
    assert refused(NumpyDataAttrs("", 2), sig(tmp_path)).code == "GC-N008"
    assert refused(attrs(0), sig(tmp_path)).code == "GC-N008"
    assert refused(attrs(2, "none.npz"), sig(tmp_path)).code == "GC-F001"
    confined = sig(tmp_path, limits=Limits(confined=True))
    assert refused(attrs(2, "../x.npz"), confined).code == "GC-F003"
    small = sig(tmp_path, limits=Limits(tensor_bytes=10))
    np.savez_compressed(tmp_path / "x.npz", data=x, label=np.zeros(4))
    assert refused(attrs(2), small).code == "GC-L001"


def test_mean_of_the_wrong_size(folder: Path) -> None:
    (folder / "mean").write_bytes(blob(np.zeros((3, 6, 6), np.float32)))
    a = attrs(2, transform_param=TransformParam(mean_file="mean"))
    with closing(NumpyData.open(a, sig(folder))) as source:
        with pytest.raises(GraphError, match=r"GC-D002.*x\.npz.*'data'.*\(3, 6, 6\)"):
            source.next()
        assert source.state() == {"record": 0, "epoch": 0}


@pytest.mark.parametrize("name", ["x.npz", "z.npz", "x.npy"])
def test_every_truncation_and_disturbance(folder: Path, name: str) -> None:
    np.save(folder / "x.npy", IMAGES)
    data = (folder / name).read_bytes()
    s = sig(folder, ("data",))
    expected = batches(attrs(7, name), s, 1)
    rng = np.random.default_rng(1)
    codes = set()
    cut = [data[:n] for n in [*range(0, 300, 7), *rng.integers(300, len(data), 40)]]
    changed = []
    for _ in range(200):
        copy = bytearray(data)
        for _ in range(2):
            # headers are at the front, the archive's directory at the end
            at = int(rng.integers(200)) if rng.random() < 0.5 else -int(rng.integers(1, 300))
            copy[at] = int(rng.integers(256))
        changed.append(bytes(copy))
    for piece in cut + changed:
        (folder / name).write_bytes(piece)
        try:
            found = batches(attrs(7, name), s, 1)
        except GraphError as error:
            codes.add(error.code)
            assert name in error.message
        else:
            assert piece in changed and found[0]["data"].ndim <= 32
    assert "GC-D001" in codes and codes <= {"GC-D001", "GC-D002", "GC-L001"}
    (folder / name).write_bytes(data)
    assert same(batches(attrs(7, name), s, 1), expected)


def test_a_member_that_lies_elsewhere(folder: Path) -> None:
    data = bytearray((folder / "x.npz").read_bytes())
    with zipfile.ZipFile(folder / "x.npz") as archive:
        start = archive.getinfo("data.npy").header_offset
    data[start : start + 2] = b"XX"
    (folder / "x.npz").write_bytes(data)
    with pytest.raises(GraphError, match="GC-D001"):
        NumpyData.infer(attrs(2), sig(folder))


NET = """
layer { name: "read" type: "NumpyData" top: "data" top: "label"
  numpy_data_param { source: "x.npz" batch_size: 7 shuffle: true prefetch: 2 }
  transform_param { scale: 0.0078125 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.05 momentum: 0.9 lr_policy: "fixed" random_seed: 3'


def test_trains_from_a_prototxt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)
    solver = graphc.Solver("solver.prototxt")
    first = solver.step(1)
    (source,) = solver.net._executor.sources.values()
    assert isinstance(source, Prefetcher)
    assert solver.step(60) < 0.2 * first
    solver.close()
    with graphc.compile("net.prototxt") as exe:
        exe.run()
        assert not isinstance(next(iter(exe._executor.sources.values())), Prefetcher)
