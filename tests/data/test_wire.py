"""The wire reader and the two messages read with it: what they hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data import makers
from hypothesis import given
from hypothesis import strategies as st

from graphc.data.blob import parse_blob, read_blob
from graphc.data.datum import parse_datum
from graphc.data.wire import BYTES, FIXED32, VARINT, Numbers, fields, signed, varints
from graphc.errors import GraphError
from graphc.limits import Limits


def code(call: object, *args: object, **kwargs: object) -> str:
    with pytest.raises(GraphError) as caught:
        result = call(*args, **kwargs)  # type: ignore[operator]
        list(result)
    return caught.value.code


def test_fields_in_order() -> None:
    message = makers.number(1, 300) + makers.chunk(2, b"ab") + makers.single(3, 1.5)
    found = [
        (n, k, v if isinstance(v, int) else bytes(v)) for n, k, v in fields(memoryview(message))
    ]
    assert found == [(1, VARINT, 300), (2, BYTES, b"ab"), (3, FIXED32, b"\0\0\xc0\x3f")]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 80, 100, 5000])
@pytest.mark.parametrize("field", [5, 300])
def test_single_numbers_read_as_a_run(count: int, field: int) -> None:
    values = np.arange(count, dtype=np.float32)
    run = b"".join(makers.single(field, v) for v in values)
    message = makers.number(1, 7) + run + makers.single(field + 1, 9) + makers.single(field, -1)
    numbers, others = Numbers("<f4"), []
    for n, kind, value in fields(memoryview(message)):
        if n == field:
            numbers.add(n, kind, value)
        else:
            others.append(n)
    assert np.array_equal(numbers.array(), [*values, -1])
    assert others == [1, field + 1]


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",  # number missing
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # over 64 bits
        b"\x12\x05ab",  # three bytes short
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # claims 2^64 - 1 bytes
        b"\x1d\0\0\0",  # float cut off
        b"\x0b\x0c",  # group
        b"\x0f\x00",  # wire type 7
        b"\x02\x00",  # field 0
        b"\xfa\xff\xff\xff\xff\x01\x00",  # field over 2^29
    ],
)
def test_broken_messages(message: bytes) -> None:
    assert code(fields, memoryview(message)) == "GC-P002"


def test_bounds() -> None:
    message = memoryview(makers.number(1, 1) * 5)
    assert len(list(fields(message, max_fields=5))) == 5
    assert code(fields, message, max_fields=4) == "GC-L001"
    assert code(varints, memoryview(b"\x80")) == "GC-P002"
    assert [signed(5), signed(2**64 - 1), signed(2**64 - 1, 64)] == [5, -1, -1]


def test_numbers_refuse_other_types() -> None:
    numbers = Numbers("<f8")
    for kind, value in [(VARINT, 3), (FIXED32, memoryview(b"1234")), (BYTES, memoryview(b"123"))]:
        with pytest.raises(GraphError, match="GC-P002"):
            numbers.add(5, kind, value)  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    for parse in (parse_blob, parse_datum):
        try:
            parse(memoryview(data))
        except GraphError:
            continue


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_blob_file(tmp_path: Path, legacy: bool, packed: bool) -> None:
    array = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(makers.blob(array, legacy=legacy, packed=packed))
    found = read_blob(path, Limits())
    assert found.dtype == np.float32 and np.array_equal(found, array)


def test_blob_of_doubles() -> None:
    values = np.array([1.5, 1e300, -2])
    message = makers.chunk(8, values.tobytes()) + makers.chunk(7, makers.number(1, 3))
    assert np.array_equal(parse_blob(memoryview(message)), np.array([1.5, np.inf, -2], np.float32))


def test_blob_without_shape_is_a_scalar() -> None:
    assert parse_blob(memoryview(makers.single(5, 2))).shape == ()


@pytest.mark.parametrize(
    "shape",
    [
        makers.number(1, 3),  # legacy, others 0
        makers.chunk(7, makers.chunk(1, makers.varint(7))),
        makers.chunk(7, makers.chunk(1, makers.varint(-2) + makers.varint(-3))),
        makers.chunk(7, makers.chunk(1, b"\x01" * 40 + b"\x06")),
        makers.chunk(7, makers.number(1, 2**62) + makers.number(1, 2**62)),
    ],
)
def test_lying_blobs(tmp_path: Path, shape: bytes) -> None:
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(shape + makers.chunk(5, bytes(24)))
    with pytest.raises(GraphError, match=r"mean\.binaryproto") as caught:
        read_blob(path, Limits())
    assert caught.value.code == "GC-D002"


def test_blob_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    assert code(read_blob, path, Limits()) == "GC-F001"
    assert code(read_blob, tmp_path, Limits()) == "GC-F001"
    path.write_bytes(b"\x0b")
    assert code(read_blob, path, Limits()) == "GC-P002"
    assert code(read_blob, path, Limits(binary_bytes=0)) == "GC-L001"


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_datum(dtype: type) -> None:
    image = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = parse_datum(memoryview(makers.datum(image, label=-3)))
    assert found.label == -3 and found.planes is not None
    assert found.planes.dtype == dtype and np.array_equal(found.planes, image)
    assert found.image("gray", Limits()) is found.planes


@pytest.mark.parametrize(
    "message",
    [
        b"",
        makers.datum(np.zeros((1, 2, 3), np.uint8))[:6] + makers.chunk(4, b"12345"),
        makers.number(1, -1)
        + makers.number(2, -6)
        + makers.number(3, 1)
        + makers.chunk(4, b"1" * 6),
        makers.number(1, 2**31) + makers.number(2, 2**31) + makers.number(3, 2**31),
    ],
)
def test_lying_datums(message: bytes) -> None:
    with pytest.raises(GraphError, match="GC-D002"):
        parse_datum(memoryview(message))
