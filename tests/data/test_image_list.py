"""ImageData: lists, shuffling, sizes and grey; what a bad list or image ends in."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest
from data.makers import png, sig
from data.record_layers import IMAGES, data_attrs, image_attrs, labels, refused

from graphc.data.transform import TransformParam
from graphc.ir.types import Type
from graphc.limits import Limits
from graphc.ops.data import Data
from graphc.ops.image_data import ImageData


def test_shuffle(folder: Path) -> None:
    a = image_attrs(5, shuffle=True)
    with closing(ImageData.open(a, sig(folder), 1)) as source:
        orders = labels(source, 6)
        assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
        assert len({tuple(o) for o in orders}) > 3
        source.reset()
        assert labels(source, 6) == orders
    with closing(ImageData.open(a, sig(folder), 2)) as source:
        assert labels(source, 6) != orders


def test_resize_and_grey(folder: Path) -> None:
    a = image_attrs(1, new_height=8, new_width=3, is_color=False)
    assert ImageData.infer(a, sig(folder))["data"] == Type((1, 1, 8, 3))
    with closing(ImageData.open(a, sig(folder))) as source:
        assert source.next()["data"].shape == (1, 1, 8, 3)
    for wrong in ({"new_height": 8}, {"new_width": 3}, {"new_height": -8, "new_width": -3}):
        assert refused(ImageData, image_attrs(1, **wrong), sig(folder)).code == "GC-N008"
    huge = image_attrs(1, new_height=2**31 - 1, new_width=2**31 - 1)
    assert refused(ImageData, huge, sig(folder)).code == "GC-L001"


def test_root_folder_is_put_before_the_name(folder: Path) -> None:
    (folder / "list.txt").write_text("0.png 4")
    a = image_attrs(1, root_folder="im ")
    with closing(ImageData.open(a, sig(folder))) as source:
        assert labels(source, 1) == [[4]]


def test_images_of_different_sizes(folder: Path) -> None:
    (folder / "im 1.png").write_bytes(png(IMAGES[1][:3]))
    error = refused(ImageData, image_attrs(2), sig(folder))
    assert error.code == "GC-D002" and "im 1.png" in error.message
    cropped = image_attrs(2, transform_param=TransformParam(crop_size=3))
    with closing(ImageData.open(cropped, sig(folder))) as source:
        assert source.next()["data"].shape == (2, 3, 3, 3)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "GC-D001"),
        ("\n \n", "GC-D001"),
        ("im0.png", "GC-D002"),
        ("im 0.png", "GC-D002"),
        ("im 0.png 1.5", "GC-D002"),
        ("im 0.png 2147483648", "GC-D002"),
        ("im 0.png \u0663", "GC-D002"),
        (" 3", "GC-D002"),
        ("none.png 1", "GC-F001"),
        (". 1", "GC-F001"),
        ("a\0b 1", "GC-F001"),
        ("x" * 4000 + " 1", "GC-F001"),
        ("x" * 5000 + " 1", "GC-D002"),
        ("list.txt 1", "GC-D001"),
    ],
)
def test_bad_lists(folder: Path, text: str, code: str) -> None:
    (folder / "list.txt").write_text(text)
    error = refused(ImageData, image_attrs(1), sig(folder))
    assert error.code == code


def test_lenient_lists(folder: Path) -> None:
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbfim 0.png 3\r\n\r\nim 1.png  -2 \r\n")
    with closing(ImageData.open(image_attrs(2), sig(folder))) as source:
        assert labels(source, 1) == [[3, -2]]
    (folder / "list.txt").write_bytes(b"\xff\xfe 1")
    assert refused(ImageData, image_attrs(1), sig(folder)).code == "GC-F001"


def test_limits(folder: Path) -> None:
    for limits in (Limits(text_bytes=10), Limits(image_pixels=23), Limits(binary_bytes=10)):
        assert refused(ImageData, image_attrs(1), sig(folder, limits=limits)).code == "GC-L001"


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert refused(ImageData, image_attrs(1), sig(folder)).code == "GC-U002"
    with closing(Data.open(data_attrs(), sig(folder))) as source:
        source.next()  # plain records need no package
