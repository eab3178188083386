"""What `graphc run` feeds: images, numpy files, labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import pictures, png
from PIL import Image

from graphc.data.arrays import read_arrays, read_held
from graphc.data.preprocess import Preprocess, read_inputs, read_labels
from graphc.errors import GraphError
from graphc.floats import Floats, as_array
from graphc.limits import Limits

SHAPES = {"data": (10, 3, 6, 8)}
PLAIN = Preprocess()
(RGB,) = pictures(1, 12, 9, 3)


@pytest.fixture
def image(tmp_path: Path) -> str:
    (tmp_path / "a.png").write_bytes(png(RGB))
    return str(tmp_path / "a.png")


def refused(files: list[str], shapes: Any = SHAPES, options: Preprocess = PLAIN, **kw: Any) -> str:
    with pytest.raises(GraphError) as caught:
        read_inputs(files, shapes, options, **kw)
    return caught.value.code


def resized(height: int, width: int) -> np.ndarray:
    out = Image.fromarray(RGB).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(out).astype(np.float32).transpose(2, 0, 1)


def test_image(image: str) -> None:
    feeds, names = read_inputs([image], SHAPES, Preprocess((1.0, 2.0, 3.0), 0.5))
    expected = (resized(6, 8)[::-1] - np.array([1, 2, 3], np.float32)[:, None, None]) * 0.5
    assert names == [image] and feeds["data"].dtype == np.float32
    assert np.array_equal(feeds["data"], expected[None])
    (rgb,) = read_inputs([image], SHAPES, Preprocess((1.0, 2.0, 3.0), 0.5, rgb=True))[0].values()
    assert np.array_equal(rgb[0], expected[::-1])  # each colour keeps its own mean
    (one,) = read_inputs([image], SHAPES, Preprocess((7.0,)))[0].values()
    assert np.array_equal(one[0], resized(6, 8)[::-1] - 7)


def test_real_image(shared: Path) -> None:
    path = shared / "zoo" / "images" / "cat.jpg"
    options = Preprocess((104, 117, 123))
    (found,) = read_inputs([str(path)], {"data": (10, 3, 227, 227)}, options)[0].values()
    with Image.open(path) as opened:
        small = opened.convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)
    expected = np.asarray(small).astype(np.float32)[..., ::-1] - np.array([104, 117, 123], "f4")
    assert np.array_equal(found[0], expected.transpose(2, 0, 1))


def test_grey_net(image: str, tmp_path: Path) -> None:
    (tmp_path / "g.png").write_bytes(png(RGB[..., 0]))
    feeds, _ = read_inputs([str(tmp_path / "g.png")], {"x": (1, 1, 12, 9)}, Preprocess((1.0,)))
    assert np.array_equal(feeds["x"][0, 0], RGB[..., 0].astype(np.float32) - 1)
    assert read_inputs([image], {"x": (1, 1, 4, 4)}, PLAIN)[0]["x"].shape == (1, 1, 4, 4)
    assert refused([image], {"x": (1, 1, 4, 4)}, Preprocess((1.0, 2.0, 3.0))) == "GC-R001"


def test_images_make_a_batch(image: str) -> None:
    shapes = SHAPES | {"other": (1, 3, 4, 4), "info": (1, 3)}
    feeds, names = read_inputs([f"data={image}", f"other={image}", f"data={image}"], shapes, PLAIN)
    assert feeds["data"].shape == (2, 3, 6, 8) and feeds["other"].shape == (1, 3, 4, 4)
    assert names == [image] * 3
    assert refused([image], shapes) == "GC-R001"  # which of the two?
    assert refused([f"info={image}"], shapes) == "GC-R001"
    assert refused([image], {"info": (1, 3)}) == "GC-R001"
    assert refused([f"none={image}"]) == "GC-R001"


@pytest.mark.parametrize(
    ("array", "version", "is_plain"),
    [
        (np.arange(6, dtype="<f4").reshape(2, 3), (1, 0), True),
        (np.arange(4, dtype="<f4"), (1, 0), True),
        (np.arange(6, dtype="<f4").reshape(2, 3).T, (1, 0), False),
        (np.arange(6, dtype=">f4"), (1, 0), False),
        (np.arange(6, dtype="<f8"), (1, 0), False),
        (np.arange(6, dtype="<f4"), (2, 0), False),
        (np.zeros((0, 3), "<f4"), (1, 0), False),
        (np.array(3, "<f4"), (1, 0), False),
    ],
)
def test_plain_numpy_files_need_no_numpy(
    tmp_path: Path, array: np.ndarray, version: tuple[int, int], is_plain: bool
) -> None:
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, version)
    found = read_held(path, Limits())[""]
    assert isinstance(found, Floats) is is_plain
    assert as_array(found).dtype == np.float32 and np.array_equal(as_array(found), array)
    path.write_bytes(path.read_bytes() + b"more")
    assert np.array_equal(read_arrays(path, Limits())[""], array)  # as np.load, which stops there


@pytest.mark.parametrize("shape", ["1, " * 99 + "1", "2", "0", "999999999999", "-1", "1 1", ""])
def test_strange_shapes_are_left_to_numpy(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape},), }}\n".encode()
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(4))
    try:
        found = read_held(path, Limits())[""]
    except GraphError as error:
        assert error.code == "GC-D001"
    else:
        assert not isinstance(found, Floats) and shape == "0"


def test_numpy_files(tmp_path: Path) -> None:
    array = np.arange(144.0).reshape(1, 3, 6, 8)
    np.save(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", array[0].astype(int))
    np.savez_compressed(tmp_path / "c.npz", data=array, other=np.ones(3, bool))
    for name in ("a.npy", "b.npy"):
        feeds, names = read_inputs([str(tmp_path / name)], SHAPES, PLAIN)
        found = as_array(feeds["data"])
        assert found.dtype == np.float32 and np.array_equal(found, array)
        assert names == []
    both = {**SHAPES, "other": (3,)}
    feeds, _ = read_inputs([str(tmp_path / "c.npz")], both, PLAIN)
    assert feeds["other"].tolist() == [1, 1, 1] and feeds["data"].shape == array.shape
    only = read_inputs([f"data={tmp_path / 'c.npz'}"], both, PLAIN)[0]
    assert set(only) == {"data"}
    a, c = str(tmp_path / "a.npy"), str(tmp_path / "c.npz")
    assert read_inputs([f"other={a}"], {"data": (1,), "other": (2, 3, 6, 8)}, PLAIN)[0].keys() == {
        "other"
    }
    for files, shapes in [
        ([a], both),  # which one?
        ([c], SHAPES),  # "other" is no input
        ([f"data={c}"], {"data": (9,)}),  # axes
        ([a, a], SHAPES),
        ([f"x={c}"], {"x": (1, 3, 6, 8), "y": (1,)}),
    ]:
        assert refused(files, shapes) == "GC-R001"


def test_image_and_array_for_one_input(image: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 3, 6, 8)))
    assert refused([image, str(tmp_path / "a.npy")]) == "GC-R001"


@pytest.mark.parametrize("dtype", ["U3", "c8", "M8[s]", "i4,i4"])
def test_arrays_that_hold_no_numbers(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3, dtype))
    assert refused([str(tmp_path / "a.npy")], {"x": (3,)}) == "GC-R001"


def test_broken_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([object()]), allow_pickle=True)
    assert refused([str(path)]) == "GC-D001"
    np.save(path, np.arange(1000.0))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.integers(128)] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data))])
        assert refused([str(path)]) in ("GC-D001", "GC-R001")
    path.write_bytes(whole.replace(b"(1000,)", b"(2**9,)"))
    assert refused([str(path)]) == "GC-D001"
    huge = whole.replace(b"(1000,), }          ", b"(1099511627776,), } ")
    assert len(huge) == len(whole)
    path.write_bytes(huge)
    assert refused([str(path)]) == "GC-D001"
    assert refused([str(path)], limits=Limits(tensor_bytes=10)) == "GC-L001"


def test_broken_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, data=np.zeros(100_000))
    assert refused([str(path)], limits=Limits(tensor_bytes=50_000)) == "GC-L001"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 + rng.integers(255)
        path.write_bytes(data)
        try:
            read_arrays(path, Limits())
        except GraphError as error:
            assert error.code in ("GC-D001", "GC-R001", "GC-L001")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", b"no array")
    assert refused([str(path)]) == "GC-R001"
    path.write_bytes(b"PK no zip")
    assert refused([str(path)]) == "GC-D001"


def test_bad_images(image: str, tmp_path: Path) -> None:
    assert refused(["none.png"]) == "GC-F001"
    assert refused([str(tmp_path)]) == "GC-F001"
    (tmp_path / "b.png").write_bytes(Path(image).read_bytes()[:40])
    assert refused([str(tmp_path / "b.png")]) == "GC-D001"
    assert refused([image], options=Preprocess((1.0, 2.0))) == "GC-R001"
    assert refused([image], limits=Limits(image_pixels=100)) == "GC-L001"
    assert refused([image], {"x": (1, 3, 2**30, 2**30)}) == "GC-L001"
    assert refused([image], {"x": (1, 3, 0, 4)}) == "GC-R001"
    assert refused([image], {"x": (1, 4, 4, 4)}) == "GC-R001"


def test_path_with_equals_sign(tmp_path: Path, image: str) -> None:
    odd = tmp_path / "x=1.png"
    odd.write_bytes(Path(image).read_bytes())
    assert read_inputs([str(odd)], SHAPES, PLAIN)[1] == [str(odd)]


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(b"\xef\xbb\xbf'n01 tench, fish'\r\n\nplain \xc3\xa9\n\"it's\"\n'\n\n\n")
    assert read_labels(path) == ["n01 tench, fish", "", "plain \u00e9", "it's", "'"]
    with pytest.raises(GraphError, match="GC-F001"):
        read_labels(tmp_path / "none")
    with pytest.raises(GraphError, match="GC-L001"):
        read_labels(path, Limits(text_bytes=5))


def test_real_labels(shared: Path) -> None:
    labels = read_labels(shared / "zoo" / "images" / "synset.txt")
    assert len(labels) == 1000 and labels[0] == "n01440764 tench, Tinca tinca"
