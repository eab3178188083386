"""Data and ImageData: walking, wrapping, skipping, resuming, and bad records."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import blob, datum, encoded_datum, png, sig, write_lmdb
from data.record_layers import IMAGES, data_attrs, image_attrs, labels, planes, refused

from graphc.data.transform import TransformParam
from graphc.errors import GraphError
from graphc.ir.types import Type
from graphc.limits import Limits
from graphc.ops.data import Data, DataAttrs
from graphc.ops.image_data import ImageData, ImageDataAttrs

LAYERS = [(Data, data_attrs), (ImageData, image_attrs)]
layers = pytest.mark.parametrize(("op", "attrs"), LAYERS, ids=["Data", "ImageData"])


@layers
def test_wraps_within_a_batch(folder: Path, op: Any, attrs: Any) -> None:
    with closing(op.open(attrs(3), sig(folder))) as source:
        assert labels(source, 4) == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]]
        assert source.state() == {"record": 2, "epoch": 2}
        source.reset()
        batch = source.next()
        assert batch["data"].dtype == batch["label"].dtype == np.float32
        assert np.array_equal(batch["data"], np.stack([planes(i) for i in range(3)]))


@layers
def test_batch_larger_than_the_source(folder: Path, op: Any, attrs: Any) -> None:
    with closing(op.open(attrs(12), sig(folder))) as source:
        assert labels(source, 1) == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]]


@layers
def test_restore_goes_on_exactly(folder: Path, op: Any, attrs: Any) -> None:
    a = attrs(2, rand_skip=5, transform_param=TransformParam(crop_size=3, mirror=True))
    s = sig(folder, phase="TRAIN")
    with closing(op.open(a, s, 7)) as source, closing(op.open(a, s, 7)) as other:
        for _ in range(3):
            source.next()
        state = source.state()
        expected = [source.next() for _ in range(4)]
        other.restore(state)
        for batch in expected:
            found = other.next()
            assert all(np.array_equal(found[k], batch[k]) for k in batch)
        for bad in ({}, {"record": 5, "epoch": 0}, {"record": -1, "epoch": 0}, {"record": 0}):
            with pytest.raises(GraphError, match="GC-D002"):
                other.restore(bad)


@layers
def test_rand_skip(folder: Path, op: Any, attrs: Any) -> None:
    starts = set()
    for seed in range(40):
        with closing(op.open(attrs(1, rand_skip=3), sig(folder), seed)) as source:
            ((first,),) = labels(source, 1)
            source.reset()
            assert labels(source, 1) == [[first]]
            starts.add(first)
    assert starts == {0, 1, 2}
    assert refused(op, attrs(1, rand_skip=6), sig(folder)).code == "GC-D002"


@layers
def test_types(folder: Path, op: Any, attrs: Any) -> None:
    assert op.infer(attrs(), sig(folder)) == {"data": Type((2, 3, 4, 6)), "label": Type((2,))}
    cropped = attrs(7, transform_param=TransformParam(crop_size=2))
    assert op.infer(cropped, sig(folder, ("data",))) == {"data": Type((7, 3, 2, 2))}
    assert op.infer(op.rebatch(attrs(), 9), sig(folder))["label"] == Type((9,))
    stale = sig(folder, data=Type((3, 1, 1, 1)), label=Type((3,)))
    assert op.infer(attrs(), stale)["data"] == Type((2, 3, 4, 6))


@layers
def test_the_net_decides_the_batch_size(folder: Path, op: Any, attrs: Any) -> None:
    s = sig(folder, data=Type((3, 3, 4, 6)), label=Type((3,)))
    with closing(op.open(attrs(2), s)) as source:
        assert labels(source, 1) == [[0, 1, 2]]
    other = sig(folder, data=Type((3, 3, 4, 5)), label=Type((3,)))
    error = refused(op, attrs(2), other)
    assert error.code == "GC-D002" and "(3, 3, 4, 5)" in error.message
    uneven = sig(folder, data=Type((3, 3, 4, 6)), label=Type((2,)))
    assert refused(op, attrs(2), uneven).code == "GC-D002"


@layers
@pytest.mark.parametrize("batch", [0, -1])
def test_batch_size_below_one(folder: Path, op: Any, attrs: Any, batch: int) -> None:
    assert refused(op, attrs(batch), sig(folder)).code == "GC-N008"


@layers
def test_missing_source(tmp_path: Path, op: Any, attrs: Any) -> None:
    with pytest.raises(GraphError) as caught:
        op.infer(attrs(), sig(tmp_path))
    assert caught.value.exit_code == 7
    assert repr(attrs().source) in caught.value.message
    assert (
        refused(
            op, type(attrs())(backend="LMDB") if op is Data else ImageDataAttrs(), sig(tmp_path)
        ).code
        == "GC-N008"
    )


@layers
def test_confined(folder: Path, op: Any, attrs: Any) -> None:
    inner = folder / "inner"
    inner.mkdir()
    limits = Limits(confined=True)
    with closing(op.open(attrs(), sig(folder, limits=limits))) as source:
        source.next()
    for path in (f"../{attrs().source}", str(folder / attrs().source)):
        error = refused(op, replace(attrs(), source=path), sig(inner, limits=limits))
        assert error.code == "GC-F003"


def test_leveldb_is_refused(folder: Path) -> None:
    error = refused(Data, DataAttrs("db", 2), sig(folder))
    assert error.code == "GC-U001" and error.exit_code == 4 and "LMDB" in error.hint


def test_encoded_records(tmp_path: Path) -> None:
    pixels = IMAGES[0]
    write_lmdb(tmp_path / "db", [encoded_datum(png(pixels), 1), encoded_datum(png(pixels[..., 0]))])

    def first(record: int, **options: Any) -> np.ndarray:
        force = options.pop("force_encoded_color", False)
        a = data_attrs(1, transform_param=TransformParam(**options), force_encoded_color=force)
        with closing(Data.open(a, sig(tmp_path))) as source:
            source.restore({"record": record, "epoch": 0})
            return source.next()["data"][0]

    assert np.array_equal(first(0), planes(0))
    assert first(0, force_gray=True).shape == (1, 4, 6)
    assert np.array_equal(first(1)[0], pixels[..., 0])
    for flags in ({"force_color": True}, {"force_encoded_color": True}):
        assert np.array_equal(first(1, **flags), np.stack([pixels[..., 0]] * 3))
    error = refused(Data, data_attrs(), sig(tmp_path))
    assert error.code == "GC-D002" and "record 1" in error.message


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (b"", "GC-D002"),
        (b"\x0b", "GC-P002"),
        (datum(planes(0))[:-9], "GC-P002"),
        (encoded_datum(b"no image"), "GC-D001"),
        (datum(planes(0)[:, :3]), "GC-D002"),
    ],
)
def test_broken_records(tmp_path: Path, record: bytes, code: str) -> None:
    write_lmdb(tmp_path / "db", [datum(planes(i), i) for i in range(3)] + [record])
    with closing(Data.open(data_attrs(2), sig(tmp_path))) as source:
        source.next()
        for _ in range(2):  # a failed batch does not move on
            with pytest.raises(GraphError, match="record 3") as caught:
                source.next()
            assert caught.value.code == code
            assert source.state() == {"record": 2, "epoch": 0}


def test_fuzzed_records(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = []
    for _ in range(300):
        plain = datum(planes(0), 3) if rng.random() < 0.5 else datum(planes(0)[:1] * 1.0, 3)
        data = bytearray(plain)
        for _ in range(2):
            data[rng.integers(12)] = rng.integers(256)
        records.append(bytes(data))
    write_lmdb(tmp_path / "db", records)
    with closing(Data.open(data_attrs(1), sig(tmp_path))) as source:
        codes = set()
        for index in range(300):
            source.restore({"record": index, "epoch": 0})
            try:
                source.next()
            except GraphError as error:
                codes.add(error.code)
    assert codes <= {"GC-D001", "GC-D002", "GC-P002"} and len(codes) > 1


def test_mean_of_the_wrong_size_names_the_record(folder: Path) -> None:
    (folder / "mean").write_bytes(blob(np.zeros((3, 4, 5), np.float32)))
    for op, attrs in LAYERS:
        a: Any = attrs(2, transform_param=TransformParam(mean_file="mean"))
        error = refused(op, a, sig(folder))
        assert error.code == "GC-D002" and "(3, 4, 5)" in error.message
        assert "db" in error.message or "im 0.png" in error.message
