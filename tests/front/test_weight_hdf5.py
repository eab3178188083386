"""HDF5 weights: Caffe's layout, and nothing a hostile file may do is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from small_graphs import Builder, attrs, shape, small_graph

from graphc.errors import GraphError
from graphc.front.weights import read_weights, write_weights
from graphc.limits import Limits

h5py = pytest.importorskip("h5py")
FLOATS = np.arange(6, dtype=np.float32).reshape(2, 3)


def hdf5(tmp_path: Path, fill: Callable[[Any], None], **words: Any) -> Path:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w", **words) as file:
        fill(file)
    return path


def test_hdf5_layout_is_caffes(tmp_path: Path) -> None:
    write_weights(small_graph(), tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert set(file) == {"data"}
        assert set(file["data"]) == {"in", "block", "bn", "relu", "fc", "fc2", "loss"}
        assert file["data/block/conv/0"].dtype == np.dtype("<f4")
        assert len(file["data/relu"]) == 0
        assert set(file["data/fc2"]) == {"1"}  # the shared blob stands at its owner


def test_hdf5_of_caffe(shared: Path) -> None:
    """Written by Caffe; the caffemodel and npz beside it hold the same arrays."""
    for name in ("net_inplace_chain", "net_shared_weights", "net_small_cnn_train"):
        found = read_weights(shared / f"golden/extras/{name}.caffemodel.h5")
        with np.load(shared / f"golden/layers/{name}.npz") as arrays:
            keys = [k for k in arrays.files if k.startswith("w/")]
            for key in keys:
                layer, _, index = key[2:].rpartition("/")
                if found[layer]:
                    np.testing.assert_array_equal(found[layer][int(index)], arrays[key])
            assert sum(map(len, found.values())) >= 2


def test_nested_names_beside_blobs(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file["data/a/0"] = FLOATS
        file["data/a/b/0"] = FLOATS + 1
        file["data/a/b/10"] = FLOATS + 3
        file["data/a/b/2"] = FLOATS + 2
        file["data/a/note"] = 3.0
        file["diff/a/0"] = FLOATS

    found = read_weights(hdf5(tmp_path, fill))
    assert found.keys() == {"a", "a/b"}
    assert [float(b[0, 0]) for b in found["a/b"]] == [1, 2, 3]


def dataset(**words: Any) -> Callable[[Any], None]:
    return lambda file: file.create_dataset("data/a/0", **words)


def low_level(tmp_path: Path, **words: Any) -> Callable[[Any], None]:
    """Data in another file, by external storage."""

    def fill(file: Any) -> None:
        (tmp_path / "secret").write_bytes(bytes(24))
        external = [(str(tmp_path / "secret"), 0, 24)]
        file.create_dataset("data/a/0", shape=(6,), dtype="<f4", external=external)

    return fill


def virtual(tmp_path: Path) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        layout = h5py.VirtualLayout((6,), "<f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (6,))
        file.create_virtual_dataset("data/a/0", layout)

    return fill


def cycle(file: Any) -> None:
    group = file.create_group("data/a")
    group["again"] = group


def soft(file: Any) -> None:
    file["data/a/0"] = FLOATS
    file["data/b"] = h5py.SoftLink("/data/a")


def external(file: Any) -> None:
    file["data/a/0"] = h5py.ExternalLink("other.h5", "x")


def external_root(file: Any) -> None:
    file["data"] = h5py.ExternalLink("other.h5", "data")


def repeated(file: Any) -> None:
    """Forty names of one dataset of 16 MiB."""
    file["data/a/0"] = np.zeros(1 << 22, np.float32)
    for index in range(1, 40):
        file[f"data/a/{index}"] = file["data/a/0"]


HOSTILE: dict[str, tuple[Callable[[Any], None] | None, str]] = {
    "soft link": (soft, "GC-F003"),
    "external link": (external, "GC-F003"),
    "external root": (external_root, "GC-F003"),
    "external storage": (None, "GC-F003"),
    "virtual": (None, "GC-F003"),
    "cycle": (cycle, "GC-L001"),
    "one dataset many times": (repeated, "GC-L001"),
    "never written": (dataset(shape=(1 << 20,), dtype="<f4"), "GC-W003"),
    "never written, chunks": (dataset(shape=(1 << 40,), dtype="<f4", chunks=(1024,)), "GC-W003"),
    "bomb": (dataset(shape=(1 << 40,), dtype="<f4", chunks=(1024,), compression="gzip"), "GC-W003"),
    "text": (dataset(data="hello"), "GC-W003"),
    "compound": (dataset(data=np.zeros(2, [("a", "<f4")])), "GC-W003"),
    "null": (dataset(data=h5py.Empty("f")), "GC-W003"),
    "other filter": (dataset(data=FLOATS, fletcher32=True), "GC-U001"),
    "no data group": (lambda f: f.create_group("x"), "GC-W003"),
    "data is a dataset": (lambda f: f.create_dataset("data", data=FLOATS), "GC-W003"),
    "twice": (lambda f: (dataset(data=FLOATS)(f), f.update({"data/a/00": FLOATS})), "GC-W003"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_hdf5(tmp_path: Path, name: str) -> None:
    fill, code = HOSTILE[name]
    if fill is None:
        fill = {"external storage": low_level, "virtual": virtual}[name](tmp_path)

    def all_of(file: Any) -> None:
        made = fill(file)
        assert made is None or made

    path = hdf5(tmp_path, all_of)
    with pytest.raises(GraphError) as caught:
        read_weights(path, Limits.strict())
    assert caught.value.code == code, str(caught.value)
    assert "w.h5" in str(caught.value)


def test_gzip_and_shuffle_are_read(tmp_path: Path) -> None:
    fill = dataset(data=FLOATS, chunks=(1, 3), compression="gzip", shuffle=True)
    np.testing.assert_array_equal(read_weights(hdf5(tmp_path, fill))["a"][0], FLOATS)


@pytest.mark.parametrize("dtype", [">f4", "<f8", "<f2", "<i4"])
def test_other_element_types(tmp_path: Path, dtype: str) -> None:
    found = read_weights(hdf5(tmp_path, dataset(data=FLOATS.astype(dtype))))["a"][0]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, FLOATS)


def test_hdf5_limits(tmp_path: Path) -> None:
    path = hdf5(tmp_path, lambda f: [f.create_dataset(f"data/l{i}/0", data=[1.0]) for i in "ab"])
    for limits in (Limits(layers=1), Limits(tensor_bytes=1000), Limits(layer_blobs=0)):
        with pytest.raises(GraphError, match="GC-L001"):
            read_weights(path, limits)


@pytest.mark.parametrize("name", ["a//b", "/a", "a/", ".", "a/./b", "a/0", "a\0b", ""])
def test_names_that_hdf5_cannot_hold(tmp_path: Path, name: str) -> None:
    b = Builder()
    b.add("Input", name, [], ["x"], attrs=attrs("Input", shape=(shape(1),)))
    with pytest.raises(GraphError, match=r"(?s)GC-U001.*safetensors"):
        write_weights(b.done(), tmp_path / "w.h5")
    assert list(tmp_path.iterdir()) == []


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_weights(small_graph(), tmp_path / "w.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for use in (lambda: read_weights(tmp_path / "w.h5"), lambda: _write_h5(tmp_path)):
        with pytest.raises(GraphError, match=r"GC-U002.*h5py") as caught:
            use()
        assert "graphc[data]" in caught.value.hint


def _write_h5(tmp_path: Path) -> None:
    write_weights(small_graph(), tmp_path / "w.h5")


def test_damaged_hdf5(tmp_path: Path) -> None:
    write_weights(small_graph(), tmp_path / "w.h5")
    good = (tmp_path / "w.h5").read_bytes()
    damaged = [good[: len(good) * i // 60] for i in range(1, 60)]
    damaged += [mutate_bytes(good, np.random.default_rng(seed)) for seed in range(100)]
    refused = 0
    for data in damaged:
        (tmp_path / "w.h5").write_bytes(data)
        try:
            read_weights(tmp_path / "w.h5", Limits.strict())
        except GraphError as error:
            refused += 1
            assert str(error)
    assert refused > 59
