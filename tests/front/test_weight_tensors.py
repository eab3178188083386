"""Weights as named arrays, `layer/index`: safetensors and npz, good and hostile."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from small_graphs import small_graph

from graphc.errors import GraphError
from graphc.front.weights import read_weights, write_weights
from graphc.limits import Limits

FLOATS = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_safetensors_of_the_library(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {
        "a/0": FLOATS,
        "a/1": FLOATS.astype(np.float64),
        "b/c/0": FLOATS.astype(np.float16),
        "s/0": np.array(3, np.float32),
    }
    library.save_file(arrays, tmp_path / "w", metadata={"made": "by hand"})
    found = read_weights(tmp_path / "w")
    assert found.keys() == {"a", "b/c", "s"}
    for got, expected in zip(
        [*found["a"], *found["b/c"], *found["s"]], arrays.values(), strict=True
    ):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected)


def test_the_library_reads_ours(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    graph = small_graph()
    write_weights(graph, tmp_path / "w.safetensors")
    found = library.load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(found["block/conv/0"], graph.weights["block/conv:weight"])
    np.testing.assert_array_equal(found["fc2/0"], found["fc/0"])


def tensors(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(dtype: Any = "F32", extents: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": extents, "data_offsets": offsets}


BAD_TENSORS = {
    "no json": (tensors(b"{x"), "GC-W003"),
    "deep": (tensors(b'{"a":' * 100_000), "GC-W003"),
    "twice": (tensors(b'{"a/0": 1, "a/0": 2}'), "GC-W003"),
    "no entry": (tensors({"a/0": 3}), "GC-W003"),
    "more": (tensors({"a/0": entry() | {"x": 1}}, bytes(8)), "GC-W003"),
    "short": (tensors({"a/0": entry()}, bytes(7)), "GC-W003"),
    "long": (tensors({"a/0": entry()}, bytes(9)), "GC-W003"),
    "hole": (tensors({"a/0": entry(offsets=(4, 12))}, bytes(12)), "GC-W003"),
    "overlap": (tensors({"a/0": entry(), "a/1": entry(offsets=(4, 12))}, bytes(12)), "GC-W003"),
    "lie": (tensors({"a/0": entry(extents=(3,))}, bytes(8)), "GC-W003"),
    "negative": (tensors({"a/0": entry(extents=(-2,))}, bytes(8)), "GC-W003"),
    "backwards": (tensors({"a/0": entry(offsets=(8, 0))}, bytes(8)), "GC-W003"),
    "huge": (tensors({"a/0": entry(extents=(1 << 62, 0), offsets=(0, 0))}), "GC-W003"),
    "no number": (tensors({"a/0": entry(extents=(True,))}, bytes(8)), "GC-W003"),
    "many axes": (tensors({"a/0": entry(extents=[1] * 33)}, bytes(8)), "GC-W003"),
    "integers": (tensors({"a/0": entry("I64")}, bytes(8)), "GC-U001"),
    "a list": (tensors({"a/0": entry(["F32"])}, bytes(8)), "GC-U001"),
    "odd name": (tensors({"weight": entry()}, bytes(8)), "GC-W003"),
    "no index": (tensors({"a/b": entry()}, bytes(8)), "GC-W003"),
    "same index": (
        tensors({"a/0": entry(), "a/00": entry(offsets=(8, 16))}, bytes(16)),
        "GC-W003",
    ),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_safetensors(tmp_path: Path, name: str) -> None:
    data, code = BAD_TENSORS[name]
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(GraphError) as caught:
        read_weights(tmp_path / "w")
    assert caught.value.code == code, str(caught.value)
    assert len(str(caught.value)) < 500


def test_bfloat16(tmp_path: Path) -> None:
    raw = (FLOATS.view(np.uint32) >> 16).astype("<u2").tobytes()
    (tmp_path / "w").write_bytes(tensors({"a/0": entry("BF16", (2, 3), (0, 12))}, raw))
    np.testing.assert_array_equal(read_weights(tmp_path / "w")["a"][0], FLOATS)


def test_mutated_safetensors(tmp_path: Path) -> None:
    write_weights(small_graph(), tmp_path / "w.safetensors")
    good = (tmp_path / "w.safetensors").read_bytes()
    cut = [good[: len(good) * i // 50] for i in range(50)]
    damaged = [mutate_bytes(good, np.random.default_rng(seed)) for seed in range(300)]
    for data in cut + damaged:
        (tmp_path / "w").write_bytes(data)
        try:
            read_weights(tmp_path / "w", Limits.strict())
        except GraphError as error:
            assert str(error)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path: Path, save: Any) -> None:
    arrays = {
        "a/0": FLOATS,
        "a/1": np.asfortranarray(FLOATS),
        "b/c/0": FLOATS.astype(np.float64),
        "d/0": np.float32(2.5),
        "e/0": np.zeros((0, 3), np.float32),
        "f/0": np.arange(3),
    }
    save(tmp_path / "w.npz", **arrays)
    found = read_weights(tmp_path / "w.npz")
    for key, expected in arrays.items():
        layer, _, index = key.rpartition("/")
        assert found[layer][int(index)].dtype == np.float32
        np.testing.assert_array_equal(found[layer][int(index)], expected)


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def npz(tmp_path: Path, data: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(tmp_path / "w", "w", compression) as archive:
        archive.writestr("a/0.npy", data)
    return tmp_path / "w"


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}]), allow_pickle=True)
    return buffer.getvalue()


HEAD = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"
BAD_NPZ = {
    "pickle": _pickled(),
    "claims": npy(HEAD.format("<f4", (1 << 40,)), bytes(8)),
    "short": npy(HEAD.format("<f4", (3,)), bytes(8)),
    "long": npy(HEAD.format("<f4", (1,)), bytes(8)),
    "negative": npy(HEAD.format("<f4", (-1, -2)), bytes(8)),
    "text": npy(HEAD.format("<U2", (1,)), bytes(8)),
    "no header": b"hello",
    "deep header": npy("(" * 9000),
    "code in the header": npy("__import__('os').getpid()"),
    "empty": b"",
}


@pytest.mark.parametrize("name", BAD_NPZ)
def test_bad_npz(tmp_path: Path, name: str) -> None:
    with pytest.raises(GraphError, match="GC-W003"):
        read_weights(npz(tmp_path, BAD_NPZ[name]))


def test_npz_bomb(tmp_path: Path) -> None:
    count = (300 << 20) // 4
    data = npy(HEAD.format("<f4", (count,)), bytes(4 * count))
    path = npz(tmp_path, data, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(GraphError, match=r"GC-L001.*unpack"):
        read_weights(path, Limits.strict())


def test_npz_other_compression(tmp_path: Path) -> None:
    data = npy(HEAD.format("<f4", (2,)), bytes(8))
    with pytest.raises(GraphError, match="GC-W003"):
        read_weights(npz(tmp_path, data, zipfile.ZIP_LZMA))


def test_damaged_npz(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", **{"a/0": FLOATS, "a/1": FLOATS})
    good = (tmp_path / "w.npz").read_bytes()
    for seed in range(200):
        data = mutate_bytes(good, np.random.default_rng(seed))
        (tmp_path / "w").write_bytes(data)
        try:
            read_weights(tmp_path / "w", Limits.strict())
        except GraphError as error:
            assert str(error)
