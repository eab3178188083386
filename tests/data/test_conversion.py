"""convert_data: every source in every form, read back by the layers that use it."""

from __future__ import annotations

import gzip
import signal
import struct
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from data.makers import datum, encoded_datum, pictures, png, sig, write_lmdb

from graphc.data import example_writers
from graphc.data.conversion import convert_data
from graphc.data.draws import permutation
from graphc.data.images import resize
from graphc.data.lmdb_file import LmdbFile
from graphc.errors import GraphError
from graphc.limits import Limits
from graphc.ops.data import Data, DataAttrs
from graphc.ops.hdf5_data import HDF5Data, HDF5DataAttrs

IMAGES = pictures(6, 4, 5, 3)
PLANES = np.stack([image[..., ::-1].transpose(2, 0, 1) for image in IMAGES])
LABELS = [0, 0, 1, 1, 1, 2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images in folders of three classes, one folder deeper for one, and other files."""
    folder = tmp_path / "photos"
    for index, (image, name) in enumerate(zip(IMAGES, "aabbbc", strict=True)):
        place = folder / name / ("deep" if index == 4 else "")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"im {index}.PNG").write_bytes(png(image))
    (folder / "a" / "notes.txt").write_text("no image")
    (folder / ".hidden").mkdir()
    return folder


KEYS = ["a/im 0.PNG", "a/im 1.PNG", "b/deep/im 4.PNG", "b/im 2.PNG", "b/im 3.PNG", "c/im 5.PNG"]
ORDER = [0, 1, 4, 2, 3, 5]


def batch(path: Path, count: int, **fields: Any) -> tuple[np.ndarray, list[int]]:
    attrs = DataAttrs(path.name, count, backend="LMDB", **fields)
    with closing(Data.open(attrs, sig(path.parent))) as source:
        found = source.next()
    return found["data"], found["label"].astype(int).tolist()


def records(path: Path) -> list[tuple[bytes, bytes]]:
    with closing(LmdbFile(path)) as file:
        return [(key, bytes(value)) for key, value in file.records()]


def test_folder_to_lmdb(photos: Path, tmp_path: Path) -> None:
    made = convert_data(photos, tmp_path / "db")
    assert (made.form, made.kind, made.count, made.shape) == ("lmdb", "folder", 6, (3, 4, 5))
    assert made.labels == {0: 2, 1: 3, 2: 1} and made.classes == ("a", "b", "c")
    found = records(tmp_path / "db")
    assert [key for key, _ in found] == [f"{i:08}_{k}".encode() for i, k in enumerate(KEYS)]
    data, labels = batch(tmp_path / "db", 6)
    assert labels == LABELS and np.array_equal(data, PLANES[ORDER])
    env = lmdb.open(str(tmp_path / "db"), readonly=True, lock=False)  # and the library reads it
    with env.begin() as transaction:
        assert list(transaction.cursor()) == found
    env.close()


def test_list_to_every_form(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("".join(f"{k} {7 - i}\n" for i, k in enumerate(KEYS)))
    for form in ("lmdb", "hdf5", "npz"):
        out = tmp_path / f"out.{form}"
        made = convert_data(tmp_path / "list.txt", out, root=photos, form=form)
        assert (made.form, made.kind, made.count) == (form, "list", 6)
    (tmp_path / "h5.txt").write_text("out.hdf5\n")
    with closing(HDF5Data.open(HDF5DataAttrs("h5.txt", 6), sig(tmp_path))) as source:
        stored = source.next()
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["data"].dtype == np.uint8
        assert np.array_equal(arrays["data"], stored["data"])
        assert arrays["label"].tolist() == stored["label"].tolist() == [7, 6, 5, 4, 3, 2]
    data, labels = batch(tmp_path / "out.lmdb", 6)
    assert np.array_equal(data, stored["data"]) and labels == [7, 6, 5, 4, 3, 2]
    assert np.array_equal(data, PLANES[ORDER])


def test_forms_lead_to_each_other(photos: Path, tmp_path: Path) -> None:
    chain = ["a.npz", "b.h5", "c_lmdb", "d.npz", "e_lmdb", "f.hdf5", "g.npz"]
    convert_data(photos, tmp_path / chain[0])
    for source, target in pairwise(chain):
        convert_data(tmp_path / source, tmp_path / target)
    first, last = (np.load(tmp_path / name) for name in (chain[0], chain[-1]))
    with first, last:
        assert last["data"].dtype == np.uint8
        assert all(np.array_equal(first[k], last[k]) for k in ("data", "label"))


def test_floats_stay_floats(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", pixels=images, classes=np.arange(5.0))
    convert_data(tmp_path / "x.npz", tmp_path / "db", data="pixels", label="classes")
    data, labels = batch(tmp_path / "db", 5)
    assert np.array_equal(data, images) and labels == list(range(5))


def test_images_are_resized_and_made_grey(photos: Path, tmp_path: Path) -> None:
    convert_data(photos, tmp_path / "db", resize=(7, 3))
    data, _ = batch(tmp_path / "db", 6)
    assert np.array_equal(data, [resize(PLANES[i], 7, 3) for i in ORDER])
    made = convert_data(photos, tmp_path / "grey", gray=True)
    assert made.shape == (1, 4, 5)


def test_encoded(photos: Path, tmp_path: Path) -> None:
    made = convert_data(photos, tmp_path / "db", encoded=True)
    assert made.shape is None
    data, labels = batch(tmp_path / "db", 6)
    assert np.array_equal(data, PLANES[ORDER]) and labels == LABELS
    assert records(tmp_path / "db")[0][1] == encoded_datum(png(IMAGES[0]), 0)
    convert_data(photos, tmp_path / "small", encoded=True, resize=(2, 2))
    data, _ = batch(tmp_path / "small", 6)
    assert np.array_equal(data, [resize(PLANES[i], 2, 2) for i in ORDER])
    (photos / "a" / "im 1.PNG").write_bytes(b"no image")
    with pytest.raises(GraphError, match=r"GC-D001.*im 1\.PNG"):
        convert_data(photos, tmp_path / "broken", encoded=True)
    with pytest.raises(GraphError, match="GC-D002"):
        convert_data(photos, tmp_path / "x.h5", encoded=True)


def test_shuffle_goes_by_the_seed(photos: Path, tmp_path: Path) -> None:
    def labels(name: str, seed: int) -> list[int]:
        convert_data(photos, tmp_path / name, shuffle=True, seed=seed)
        return batch(tmp_path / name, 6)[1]

    order = permutation(6, seed=3, layer="", purpose="convert", epoch=0)
    assert labels("x", 3) == labels("y", 3) == [LABELS[i] for i in order]
    assert len({tuple(labels(f"z{seed}", seed)) for seed in range(8)}) > 3
    with pytest.raises(GraphError, match="GC-U001"):
        convert_data(tmp_path / "x", tmp_path / "w", shuffle=True)


def test_channels_can_be_swapped(photos: Path, tmp_path: Path) -> None:
    convert_data(photos, tmp_path / "db", swap_channels=True)
    assert np.array_equal(batch(tmp_path / "db", 6)[0], PLANES[ORDER][:, ::-1])
    np.savez(tmp_path / "grey.npz", data=np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(GraphError, match=r"GC-D002.*three planes"):
        convert_data(tmp_path / "grey.npz", tmp_path / "x", swap_channels=True)


def idx(array: np.ndarray) -> bytes:
    return (
        struct.pack(">HBB", 0, 8, array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, packed: bool) -> None:
    images = np.stack(pictures(5, 6, 7))
    end, pack = (".gz", gzip.compress) if packed else ("", bytes)
    source = tmp_path / f"train-images-idx3-ubyte{end}"
    source.write_bytes(pack(idx(images)))
    with pytest.raises(GraphError, match=r"GC-D001.*labels"):
        convert_data(source, tmp_path / "db")
    labels = tmp_path / f"train-labels-idx1-ubyte{end}"
    labels.write_bytes(pack(idx(np.arange(5, dtype=np.uint8))))
    convert_data(source, tmp_path / "db")
    data, found = batch(tmp_path / "db", 5)
    assert np.array_equal(data[:, 0], images) and found == [0, 1, 2, 3, 4]
    assert records(tmp_path / "db")[3][0] == b"00000003"
    labels.rename(tmp_path / "other")
    convert_data(source, tmp_path / "again", labels=tmp_path / "other")
    assert records(tmp_path / "again") == records(tmp_path / "db")
    source.write_bytes(pack(idx(images)[:-1]))
    with pytest.raises(GraphError, match=r"GC-D001.*\(5, 6, 7\)"):
        convert_data(source, tmp_path / "short", labels=tmp_path / "other")
    if packed:
        source.write_bytes(gzip.compress(idx(images))[:-20])
        with pytest.raises(GraphError, match=r"GC-D001.*unpacked"):
            convert_data(source, tmp_path / "short", labels=tmp_path / "other")


@pytest.mark.parametrize("before", [1, 2])
def test_cifar(tmp_path: Path, before: int) -> None:
    rows = np.stack(pictures(6, before + 3072, seed=3))
    files = [tmp_path / f"data_batch_{i}.bin" for i in (1, 2)]
    for file, part in zip(files, (rows[:4], rows[4:]), strict=True):
        file.write_bytes(part.tobytes())
    made = convert_data(files, tmp_path / "db")
    assert made.kind == "cifar" and made.count == 6
    data, labels = batch(tmp_path / "db", 6)
    assert np.array_equal(data, rows[:, before:].reshape(6, 3, 32, 32))
    assert labels == rows[:, before - 1].tolist()
    files[0].write_bytes(rows.tobytes()[:-1])
    with pytest.raises(GraphError, match="GC-D001"):
        convert_data(files, tmp_path / "x")


def test_the_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example_writers, "_FIRST_MAP", 1 << 16)
    images = np.stack(pictures(2500, 1, 10, 10))
    np.savez(tmp_path / "x.npz", data=images, label=np.arange(2500))
    told: list[tuple[int, int]] = []
    convert_data(tmp_path / "x.npz", tmp_path / "db", progress=lambda *a: told.append(a))
    data, labels = batch(tmp_path / "db", 2500)
    assert np.array_equal(data, images) and labels == list(range(2500))
    assert told[-1] == (2500, 2500) and len(told) == 26


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


@pytest.mark.parametrize("name", ["db", "x.h5", "x.npz"])
def test_nothing_half_made_is_left(photos: Path, tmp_path: Path, name: str) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_data(photos, tmp_path / name, progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]
    convert_data(photos, tmp_path / name)
    with pytest.raises(GraphError, match=r"GC-F002.*already"):
        convert_data(photos, tmp_path / name)
    for file in (photos / "c").iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(GraphError, match=r"GC-D001.*im 5\.PNG"):
        convert_data(photos, tmp_path / name, replace=True)
    assert convert_data(tmp_path / name, tmp_path / "again.npz").count == 6  # still the old one
    (photos / "c" / "im 5.PNG").unlink()
    assert convert_data(photos, tmp_path / name, replace=True).count == 5
    assert convert_data(tmp_path / name, tmp_path / "again.npz", replace=True).count == 5
    assert not leftovers(tmp_path)


KILLED = """
import os, signal, sys
from graphc.data.conversion import convert_data
def progress(done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
convert_data("x.npz", sys.argv[1], replace=True, progress=progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("name", ["db", "x.h5", "out.npz"])
def test_killed(tmp_path: Path, name: str) -> None:
    """Nothing under the name, or what was there before."""
    np.savez(tmp_path / "x.npz", data=np.stack(pictures(300, 3, 4, 4)))
    for has_old in (False, True):
        if has_old:
            assert convert_data(tmp_path / "x.npz", tmp_path / name).count == 300
        command = [sys.executable, "-c", KILLED, name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL
        assert (tmp_path / name).exists() is has_old
    again = convert_data(tmp_path / name, tmp_path / "again.npz")
    assert again.count == 300


FULL = """
import resource, signal, sys
from graphc.data.conversion import convert_data
from graphc.errors import GraphError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    convert_data("x.npz", sys.argv[1])
except GraphError as error:
    print(error.code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file sizes are limited as Linux does")
@pytest.mark.parametrize("name", ["db", "x.h5", "out.npz"])
def test_a_full_disk(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "x.npz", data=np.stack(pictures(600, 3, 20, 20)))
    command = [sys.executable, "-c", FULL, name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("GC-F002\n", 0), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_sources_that_are_none(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bytes").write_bytes(bytes(range(200)))
    (tmp_path / "bad.txt").write_text("no label here\n")
    np.savez(tmp_path / "flat.npz", data=np.zeros((3, 4)))
    np.savez(tmp_path / "none.npz", data=np.zeros((0, 1, 4, 4)))
    np.savez(tmp_path / "more.npz", data=np.zeros((3, 1, 4, 4)), label=[1, 2])
    np.savez(tmp_path / "half.npz", data=np.zeros((2, 1, 4, 4)), label=[1, 2.5])
    write_lmdb(tmp_path / "no_db", [])
    cases = {
        "missing": "GC-F001",
        "empty": "GC-D001",
        "bytes": "GC-D001",
        "bad.txt": "GC-D002",
        "flat.npz": "GC-D002",
        "none.npz": "GC-D001",
        "more.npz": "GC-D002",
        "half.npz": "GC-D002",
        "no_db": "GC-D001",
    }
    for name, code in cases.items():
        with pytest.raises(GraphError) as caught:
            convert_data(tmp_path / name, tmp_path / "out")
        assert caught.value.code == code and name in caught.value.message, name
        assert not (tmp_path / "out").exists() and not leftovers(tmp_path)
    with pytest.raises(GraphError, match="GC-D002"):
        convert_data([photos, photos], tmp_path / "out")
    with pytest.raises(GraphError, match="GC-D002"):
        convert_data(tmp_path / "none.npz", tmp_path / "out", gray=True)
    with pytest.raises(GraphError, match="GC-F002"):
        convert_data(photos, tmp_path / "no" / "out")
    with pytest.raises(GraphError, match=r"GC-D001.*'pixels'"):
        convert_data(tmp_path / "flat.npz", tmp_path / "out", data="pixels")


def test_images_of_several_sizes(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", [datum(p, 0) for p in (PLANES[0], PLANES[1][:, :3])])
    assert convert_data(tmp_path / "db", tmp_path / "copy").count == 2
    for name in ("x.npz", "x.h5"):
        with pytest.raises(GraphError, match=r"GC-D002.*00000001.*\(3, 3, 5\)"):
            convert_data(tmp_path / "db", tmp_path / name)


def test_limits_count(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="GC-L001"):
        convert_data(photos, tmp_path / "db", limits=Limits(image_pixels=19))


def test_without_the_package_lmdb(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(GraphError, match=r"GC-U002.*lmdb") as caught:
        convert_data(photos, tmp_path / "db")
    assert "graphc[data]" in caught.value.hint and not leftovers(tmp_path)
