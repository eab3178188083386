"""Weights of binary NetParameters, of all ages and encodings; protobuf is the oracle."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from small_graphs import small_graph

from graphc.data import wire_writer as wire
from graphc.errors import GraphError
from graphc.front.caffemodel import read_caffemodel
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.schema import union
from graphc.front.weights import load_weights
from graphc.ir.clone import clone
from graphc.limits import Limits

FLOATS = np.arange(6, dtype=np.float32) / 3


def net(**words: Any) -> Any:
    message = union().new("NetParameter")
    for name, value in words.items():
        setattr(message, name, value)
    return message


def write(path: Path, data: Any) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


def layer(*parts: bytes, name: str = "conv") -> bytes:
    """A new-style net of one layer with the given blob messages."""
    return wire.chunk(100, wire.text(1, name) + b"".join(wire.chunk(7, p) for p in parts))


def dims(*extents: int) -> bytes:
    return wire.chunk(7, wire.chunk(1, wire.packed(extents)))


def data(array: Any = FLOATS) -> bytes:
    return wire.chunk(5, np.asarray(array, "<f4").tobytes())


def read(tmp_path: Path, message: bytes, limits: Limits | None = None) -> dict[str, Any]:
    return read_caffemodel(write(tmp_path / "w.caffemodel", message), limits)


def test_new_format(tmp_path: Path) -> None:
    message = net(name="n")
    first = message.layer.add(name="conv", type="Convolution", bottom=["x"], top=["y"])
    blob = first.blobs.add(data=FLOATS)
    blob.shape.dim.extend([2, 3])
    first.blobs.add(data=[4.5]).shape.SetInParent()
    message.layer.add(name="relu", type="ReLU")
    found = read_caffemodel(write(tmp_path / "w", message))
    assert list(found) == ["conv", "relu"] and found["relu"] == []
    np.testing.assert_array_equal(found["conv"][0], FLOATS.reshape(2, 3))
    assert found["conv"][1].shape == () and found["conv"][1] == 4.5
    assert found["conv"][0].dtype == np.float32


def test_v1_format(tmp_path: Path) -> None:
    message = net()
    old = message.layers.add(name="ip", bottom=["x"])
    old.blobs.add(num=1, channels=1, height=2, width=3, data=FLOATS)
    found = read_caffemodel(write(tmp_path / "w", message))
    assert found["ip"][0].shape == (1, 1, 2, 3)


def test_v0_format(tmp_path: Path) -> None:
    message = net()
    shell = message.layers.add(bottom=["x"], top=["y"])
    shell.layer.name, shell.layer.type = "ip", "innerproduct"
    shell.layer.blobs.add(num=1, channels=1, height=2, width=3, data=FLOATS)
    found = read_caffemodel(write(tmp_path / "w", message))
    assert found["ip"][0].shape == (1, 1, 2, 3)


def test_packed_floats_are_not_copied(tmp_path: Path) -> None:
    found = read(tmp_path, layer(data() + dims(6)))["conv"][0]
    assert not found.flags.owndata and not found.flags.writeable


ENCODINGS = {
    "packed": data() + dims(2, 3),
    "shape first": dims(2, 3) + data(),
    "single": b"".join(wire.tag(5, 5) + struct.pack("<f", x) for x in FLOATS) + dims(2, 3),
    "two chunks": data(FLOATS[:2]) + dims(2, 3) + data(FLOATS[2:]),
    "mixed": data(FLOATS[:5]) + wire.tag(5, 5) + struct.pack("<f", FLOATS[5]) + dims(2, 3),
    "shape in parts": data() + dims(2) + dims(3),
    "single dims": data() + wire.chunk(7, wire.number_field(1, 2) + wire.number_field(1, 3)),
    "double": wire.chunk(8, FLOATS.astype("<f8").tobytes()) + dims(2, 3),
    "single doubles": b"".join(wire.tag(8, 1) + struct.pack("<d", x) for x in FLOATS) + dims(2, 3),
    "raw float": wire.number_field(10, 1) + wire.chunk(12, FLOATS.tobytes()) + dims(2, 3),
    "raw double": wire.chunk(12, FLOATS.astype("<f8").tobytes()) + dims(2, 3),
    "diff beside": data() + wire.chunk(6, bytes(24)) + dims(2, 3),
    "unknown fields": wire.text(99, "x") + data() + dims(2, 3) + wire.number_field(1000, 7),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, layer(ENCODINGS[name]))["conv"][0]
    np.testing.assert_array_equal(found, FLOATS.reshape(2, 3))


def test_half_precision_raw_data(tmp_path: Path) -> None:
    half = FLOATS.astype("<f2")
    blob = wire.number_field(10, 2) + wire.chunk(12, half.tobytes()) + dims(6)
    np.testing.assert_array_equal(read(tmp_path, layer(blob))["conv"][0], half.astype(np.float32))


def test_doubles_out_of_range_become_infinite(tmp_path: Path) -> None:
    blob = wire.chunk(8, struct.pack("<2d", 1e300, float("nan"))) + dims(2)
    found = read(tmp_path, layer(blob))["conv"][0]
    assert found[0] == np.inf and np.isnan(found[1])


def test_legacy_dims_win_and_default_to_zero(tmp_path: Path) -> None:
    blob = dims(7) + wire.number_field(1, 1) + wire.number_field(4, 5)
    assert read(tmp_path, layer(blob))["conv"][0].shape == (1, 0, 0, 5)


def test_first_layer_of_a_name_with_blobs_wins(tmp_path: Path) -> None:
    one, two = data([1.0]) + dims(1), data([2.0]) + dims(1)
    found = read(tmp_path, layer() + layer(one) + layer(two))
    assert [b.tolist() for b in found["conv"]] == [[1.0]]


BAD = {
    "empty": (b"", "GC-P002", "empty"),
    "text": (b'name: "LeNet"\nlayer {', "GC-P002", "is text"),
    "no layer": (wire.text(1, "n"), "GC-P002", "no layer"),
    "both ages": (layer() + wire.chunk(2, b""), "GC-P004", "both"),
    "groups": (wire.tag(3, 3) + wire.tag(3, 4), "GC-P002", "starts no field"),
    "lying length": (wire.head(100, 1 << 40), "GC-P002", "claims"),
    "huge varint": (b"\xff" * 11, "GC-P002", "64 bits"),
    "too few": (layer(data() + dims(2, 4)), "GC-W003", "8 elements"),
    "too many": (layer(data() + dims(5)), "GC-W003", "24 bytes"),
    "no shape": (layer(data()), "GC-W003", "1 elements"),
    "no data": (layer(dims(1 << 30)), "GC-W003", "0 bytes"),
    "negative": (layer(data() + dims(-2, -3)), "GC-W003", "dimension"),
    "2^31": (layer(dims(0, 1 << 31)), "GC-W003", "dimension"),
    "2^62": (layer(dims(1 << 62, 0)), "GC-W003", "dimension"),
    "huge with zero": (layer(dims(0, 1 << 30, 1 << 30)), "GC-W003", "too large"),
    "many axes": (layer(dims(*[1] * 40)), "GC-W003", "axes"),
    "odd bytes": (layer(wire.chunk(5, b"abc") + dims(1)), "GC-W003", "3 bytes"),
    "raw ints": (
        layer(wire.number_field(10, 3) + wire.chunk(12, b"abcd") + dims(1)),
        "GC-U001",
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path: Path, name: str) -> None:
    message, code, told = BAD[name]
    with pytest.raises(GraphError) as caught:
        read(tmp_path, message)
    assert caught.value.code == code and told in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    if code == "GC-W003":
        assert "layer 'conv'" in str(caught.value) and "blob 0" in str(caught.value)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(binary_bytes=40),
        Limits(binary_fields=5),
        Limits(layers=1),
        Limits(layer_blobs=1),
        Limits(tensor_bytes=20),
    ],
)
def test_limits(tmp_path: Path, limits: Limits) -> None:
    blob = data() + dims(6)
    with pytest.raises(GraphError, match="GC-L001"):
        read(tmp_path, layer(blob, blob) + layer(blob, name="b"), limits)


def test_many_small_fields_are_counted(tmp_path: Path) -> None:
    """Work is bounded although the file is within its size."""
    with pytest.raises(GraphError, match=r"GC-L001.*binary_fields"):
        read(tmp_path, b"\x28\x01" * 1_500_000, Limits.strict())


def test_every_truncation(tmp_path: Path) -> None:
    blob = data() + dims(2, 3)
    whole = wire.text(1, "n") + layer(blob, blob) + layer(blob, name="b")
    for end in range(len(whole)):
        try:
            found = read(tmp_path, whole[:end])
        except GraphError as error:
            assert error.code in ("GC-P002", "GC-W003")
        else:
            assert len(found) == 1  # cut exactly between two layers


def test_mutations(tmp_path: Path) -> None:
    graph = small_graph()
    write_caffemodel(graph, tmp_path / "good")
    good, refused = (tmp_path / "good").read_bytes(), 0
    for seed in range(500):
        path = write(tmp_path / "bad", mutate_bytes(good, np.random.default_rng(seed)))
        try:
            load_weights(clone(graph), path)
        except GraphError as error:
            refused += 1
            assert str(error)
    assert refused > 200


def test_a_file_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    """1.5 GiB of zeros, as a sparse file, under an address space that could not hold it twice."""
    count = 3 << 27
    blob_size = len(wire.head(5, 4 * count)) + 4 * count + len(dims(count))
    path = tmp_path / "w"
    with path.open("wb") as file:
        name = wire.text(1, "big")
        body = wire.head(7, blob_size) + wire.head(5, 4 * count)
        file.write(wire.head(100, len(name) + len(wire.head(7, blob_size)) + blob_size))
        file.write(name + body)
        file.seek(4 * count, 1)
        file.write(dims(count))
    script = f"""
import resource
import numpy as np
from graphc.front.caffemodel import read_caffemodel
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
blob = read_caffemodel({str(path)!r})["big"][0]
assert blob.shape == ({count},) and blob[-1] == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20_000  # KiB
