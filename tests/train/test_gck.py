"""The `.gck` file: everything comes back to the bit, and nothing hostile gets in."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes

from graphc.errors import GraphError
from graphc.limits import Limits
from graphc.train.checkpoint.ours import (
    Fingerprint,
    check_belongs,
    fingerprint,
    read_extra,
    write_extra,
)

META: dict[str, Any] = {
    "seeds": {"solver": (1 << 64) - 1, "data": -1},
    "window": [0.1, 1e-310, -0.0, math.inf, math.nan, 1 / 3],
    "cursors": {"data": {"position": 17, "epoch": 2}, "\u2603/x": {}},
    "method": {"name": "force", "on": True, "none": None, "nested": [[1], {"a": "\ud800"}]},
}
ARRAYS = {
    "lstm:c_0": np.float32([[1, -0.0], [np.nan, 3]]),
    "lengths": np.arange(3, dtype=np.float64)[::-1] / 3,
    "counts": np.array([-(1 << 63), (1 << 63) - 1]),
    "mask": np.array([[0, 255]], np.uint8),
    "scalar": np.array(5, np.int32),
    "empty": np.zeros((0, 4), np.float16),
    "big-endian": np.array([1, 2], ">i2"),
}
NOBODY = Fingerprint("x", 0, 0)


def write(path: Path, meta: Any = META, arrays: Any = ARRAYS) -> Path:
    write_extra(path, meta, arrays, weights=NOBODY, state=NOBODY)
    return path


def refused(path: Path, code: str = "GC-K001", **words: Any) -> str:
    with pytest.raises(GraphError) as caught:
        read_extra(path, **words)
    assert caught.value.code == code and path.name in str(caught.value)
    return str(caught.value)


def test_round_trip(tmp_path: Path) -> None:
    extra = read_extra(write(tmp_path / "x.gck"))
    bits = [np.float64(v).tobytes() for v in META["window"]]
    assert [np.float64(v).tobytes() for v in extra.meta["window"]] == bits
    assert {k: v for k, v in extra.meta.items() if k != "window"} == {
        k: v for k, v in META.items() if k != "window"
    }
    assert extra.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        found = extra.arrays[name]
        assert (found.shape, found.dtype) == (array.shape, array.dtype.newbyteorder("="))
        assert found.tobytes() == array.astype(found.dtype).tobytes()
        assert found.flags.writeable and found.flags.owndata and found.flags.aligned


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    again = dict(reversed(META.items()))
    first, second = write(tmp_path / "a"), write(tmp_path / "b", again)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "meta", [{1: 2}, {"a": {2: 3}}, {"a": np.zeros(2)}, {"a": (1,)}, {"a": b"x"}, {"a": 1j}]
)
def test_meta_that_would_not_come_back(meta: Any, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="GC-R002"):
        write(tmp_path / "x", meta)
    assert not list(tmp_path.iterdir())


def test_deep_meta_and_odd_arrays(tmp_path: Path) -> None:
    deep: Any = 0
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(GraphError, match="levels deep"):
        write(tmp_path / "x", {"a": deep})
    for array in (np.array(["a"]), np.array([True]), np.array([1j]), np.array([None])):
        with pytest.raises(GraphError, match=r"GC-R002.*array 'a' holds"):
            write(tmp_path / "x", {}, {"a": array})


def test_belonging(tmp_path: Path) -> None:
    weights, state = tmp_path / "w.caffemodel", tmp_path / "s.solverstate"
    weights.write_bytes(b"weights")
    state.write_bytes(b"state")
    path = tmp_path / "x.gck"
    write_extra(path, {}, {}, weights=fingerprint(weights), state=fingerprint(state))
    extra = read_extra(path)
    check_belongs(path, extra, weights, state)
    weights.write_bytes(b"WEIGHTS")
    with pytest.raises(GraphError, match=r"'w\.caffemodel' of another content"):
        check_belongs(path, extra, weights, state)
    weights.write_bytes(b"weights")
    state.write_bytes(b"")
    with pytest.raises(GraphError, match=r"'s\.solverstate' of another size"):
        check_belongs(path, extra, weights, state)
    with pytest.raises(GraphError, match=r"belongs to 's\.solverstate', and not"):
        check_belongs(path, extra, weights, weights)


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object], how: int = 0) -> None:
    with zipfile.ZipFile(path) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    change(found)
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in found.items():
            archive.writestr(name, data)


def edited(key: str, value: Any) -> Callable[[dict[str, bytes]], object]:
    def change(found: dict[str, bytes]) -> None:
        meta = json.loads(found["meta.json"])
        meta[key] = value
        found["meta.json"] = json.dumps(meta).encode()

    return change


PRINT = {"name": "w", "bytes": 1, "crc32": 2}
HOSTILE: dict[str, Callable[[dict[str, bytes]], object]] = {
    "surplus": lambda m: m.update({"evil.py": b"x"}),
    "no meta": lambda m: m.pop("meta.json"),
    "no arrays": lambda m: m.pop("arrays.safetensors"),
    "no JSON": lambda m: m.update({"meta.json": b"{"}),
    "no UTF-8": lambda m: m.update({"meta.json": b"\xff"}),
    "a list": lambda m: m.update({"meta.json": b"[]"}),
    "deep": lambda m: m.update({"meta.json": b"[" * 100_000}),
    "format": edited("format", 2),
    "no belongs": edited("belongs", []),
    "half belongs": edited("belongs", {"weights": PRINT}),
    "climbing": edited("belongs", {"weights": PRINT | {"name": "../w"}, "state": PRINT}),
    "odd crc": edited("belongs", {"weights": PRINT | {"crc32": 1.5}, "state": PRINT}),
    "list of meta": edited("meta", [1]),
    "cut arrays": lambda m: m.update({"arrays.safetensors": m["arrays.safetensors"][:-1]}),
    "long arrays": lambda m: m.update({"arrays.safetensors": m["arrays.safetensors"] + b"x"}),
    "odd type": lambda m: m.update(
        {"arrays.safetensors": m["arrays.safetensors"].replace(b'"F64"', b'"C64"')}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.gck")
    rewrite(path, HOSTILE[name])
    refused(path)


def test_compressed_and_missing_and_large(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gck")
    refused(path, "GC-L001", limits=Limits(tensor_bytes=100))
    refused(path, "GC-L001", limits=Limits(text_bytes=100))
    rewrite(path, lambda m: None, zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(path)
    refused(tmp_path / "none.gck", "GC-F001")
    (tmp_path / "text.gck").write_text("text")
    refused(tmp_path / "text.gck")


def test_damage_never_does_more_than_a_graph_error(tmp_path: Path) -> None:
    data, path = write(tmp_path / "good").read_bytes(), tmp_path / "bad"
    failed = 0
    for seed in range(300):
        path.write_bytes(mutate_bytes(data, np.random.default_rng(seed)))
        try:
            read_extra(path)
        except GraphError:
            failed += 1
    assert failed > 250
    for size in range(0, len(data), 1 + len(data) // 100):
        path.write_bytes(data[:size])
        refused(path)
