"""LmdbBlocks gives the records that LmdbFile gives, or nothing; and data layers do not notice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lmdb
import numpy as np
import pytest
from data.makers import datum, encoded_datum, pictures, png, sig, write_lmdb

from graphc.data.lmdb_blocks import LmdbBlocks
from graphc.data.lmdb_file import LmdbFile
from graphc.data.lmdb_source import LmdbRecords
from graphc.data.transform import TransformParam
from graphc.errors import GraphError
from graphc.limits import Limits
from graphc.ops.data import Data, DataAttrs


def by_blocks(path: Path, start: int, count: int, step: int) -> list[bytes] | None:
    """`count` values from `start` on, `step` at a time; None where blocks give up."""
    found: list[bytes] = []
    with closing(LmdbFile(path)) as file:
        reader = LmdbBlocks(file, start)
        while len(found) < count:
            blocks = reader.take(min(step, count - len(found)))
            if blocks is None:
                assert reader.take(1) is None  # for good
                return None
            for block in blocks:
                ends = zip(block.starts.tolist(), block.sizes.tolist(), strict=True)
                found += [block.data[at : at + size] for at, size in ends]
    return found


def one_by_one(path: Path) -> list[bytes]:
    with closing(LmdbFile(path)) as file:
        return [bytes(value) for _, value in file.records()]


@pytest.mark.parametrize(
    ("count", "smallest", "largest"),
    [(1, 5, 5), (3, 3000, 3000), (500, 0, 20), (3000, 700, 800), (900, 2100, 9000), (9000, 3, 3)],
)
def test_equals_the_other_reader(tmp_path: Path, count: int, smallest: int, largest: int) -> None:
    rng = np.random.default_rng(count)
    sizes = rng.integers(smallest, largest + 1, count)
    path = write_lmdb(tmp_path / "db", [rng.bytes(int(n)) for n in sizes])
    expected = one_by_one(path)
    for start in (0, 1, count // 2, count - 1):
        for step in (1, 7, 64, count):
            if count // step < 3000:
                assert by_blocks(path, start, count - start, step) == expected[start:]
    assert by_blocks(path, 0, count + 1, 64) is None


def test_small_and_large_values_are_left_to_the_other(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "db", [bytes(10)] * 50 + [bytes(5000)] + [bytes(10)] * 50)
    assert by_blocks(path, 0, 101, 8) is None
    path = write_lmdb(tmp_path / "far", [bytes(3_000_000)] * 3)
    assert by_blocks(path, 0, 3, 1) is None


def test_after_many_transactions(tmp_path: Path) -> None:
    """Pages are then in any order, and free ones between them."""
    rng = np.random.default_rng(0)
    env = lmdb.open(str(tmp_path / "db"), map_size=1 << 26)
    for _ in range(30):
        with env.begin(write=True) as transaction:
            for _ in range(60):
                key = str(rng.integers(900)).encode()
                if rng.random() < 0.4:
                    transaction.delete(key)
                else:
                    transaction.put(key, rng.bytes(int(rng.integers(0, 900))))
    env.close()
    expected = one_by_one(tmp_path / "db")
    assert by_blocks(tmp_path / "db", 0, len(expected), 50) == expected


def test_disturbed_bytes(tmp_path: Path) -> None:
    """Never other values than the other reader's, never an error of another kind."""
    values = [datum(p, 1) for p in pictures(300, 1, 4, 5)]
    path = write_lmdb(tmp_path / "db", values)
    data = (path / "data.mdb").read_bytes()
    rng = np.random.default_rng(1)
    outcomes = {"same": 0, "left": 0}
    for _ in range(400):
        changed = bytearray(data)
        page = int(rng.integers(len(data) // 4096))
        for _ in range(int(rng.integers(1, 4))):
            changed[page * 4096 + int(rng.integers(200))] = int(rng.integers(256))
        cut = len(data) if rng.random() < 0.7 else int(rng.integers(9000, len(data)))
        (path / "data.mdb").write_bytes(changed[:cut])
        try:
            found = by_blocks(path, 0, 300, 64)
        except GraphError as error:
            assert error.code in ("GC-D001", "GC-U001")  # no LMDB at all
            continue
        if found is None:
            outcomes["left"] += 1
        else:
            assert found == one_by_one(path)[:300]
            outcomes["same"] += 1
    assert min(outcomes.values()) > 30


def encoded(index: int) -> bytes:
    return encoded_datum(png(np.full((4, 4, 3), index, np.uint8)), index)


KINDS: dict[str, Callable[[int], bytes]] = {
    "plain": lambda i: datum(pictures(1, 3, 8, 8, seed=i)[0], i % 100),
    "large": lambda i: datum(pictures(1, 3, 32, 32, seed=i)[0], i % 10),
    "labels of two lengths": lambda i: datum(pictures(1, 3, 8, 8, seed=i)[0], 5 * i),
    "floats": lambda i: datum(pictures(1, 1, 4, 4, seed=i)[0] / np.float32(3), i),
    "encoded": encoded,
    "two shapes": lambda i: datum(pictures(1, 3, *((8, 4) if i % 9 else (4, 8)), seed=i)[0], 1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 16, 130])
def test_a_data_layer_does_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, batch: int
) -> None:
    write_lmdb(tmp_path / "db", [KINDS[kind](i) for i in range(60)])
    param = TransformParam(scale=0.5, crop_size=4, mirror=True)
    attrs = DataAttrs("db", batch, backend="LMDB", transform_param=param)
    s = sig(tmp_path, phase="TRAIN")
    runs = []
    for is_plain in (False, True):
        if is_plain:
            monkeypatch.setattr(LmdbRecords, "read_many", lambda *args: None)
        with closing(Data.open(attrs, s, 3)) as source:
            batches = [source.next() for _ in range(10)]
            source.restore({"record": 13, "epoch": 4})
            batches += [source.next() for _ in range(3)]
            runs.append([*batches, source.state()])
    for found, expected in zip(runs[0][:-1], runs[1][:-1], strict=True):
        assert all(np.array_equal(found[role], expected[role]) for role in expected)
    assert runs[0][-1] == runs[1][-1]


@pytest.mark.parametrize(("kind", "is_many"), [("plain", True), ("large", True), ("floats", False)])
def test_alike_records_are_read_at_once(tmp_path: Path, kind: str, is_many: bool) -> None:
    path = write_lmdb(tmp_path / "db", [KINDS[kind](i) for i in range(60)])
    with closing(LmdbRecords(path, "native", Limits())) as records:
        for first in (0, 20, 5):
            found = records.read_many(first, 0, 20)
            assert (found is not None) is is_many
            if found is not None:
                for i, image in enumerate(found[0]):
                    expected, label = records.read(first + i, 0)
                    assert np.array_equal(image, expected) and found[1][i] == label
