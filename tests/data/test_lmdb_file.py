"""LmdbFile against the lmdb library, and against truncated and disturbed files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import lmdb
import numpy as np
import pytest
from data.makers import datum, pictures, write_lmdb

from graphc.data.lmdb_file import LmdbFile
from graphc.data.lmdb_source import LmdbRecords
from graphc.errors import GraphError
from graphc.limits import Limits


def library(path: Path, **options: object) -> list[tuple[bytes, bytes]]:
    env = lmdb.open(str(path), readonly=True, lock=False, **options)
    with env.begin() as transaction:
        found = list(transaction.cursor())
    env.close()
    return found


def ours(path: Path, start: int = 0) -> list[tuple[bytes, bytes]]:
    file = LmdbFile(path)
    try:
        return [(key, bytes(value)) for key, value in file.records(start)]
    finally:
        file.close()


@pytest.mark.parametrize(
    ("count", "largest"), [(1, 10), (3, 3000), (500, 20), (300, 2040), (40, 40000), (20000, 0)]
)
def test_equals_the_library(tmp_path: Path, count: int, largest: int) -> None:
    rng = np.random.default_rng(count)
    sizes = rng.integers(0, largest + 1, count)
    path = write_lmdb(tmp_path / "db", [rng.bytes(int(n)) for n in sizes])
    expected = library(path)
    assert len(expected) == count and ours(path) == expected
    for start in (1, count // 2, count - 1, count, count + 5):
        assert ours(path, start) == expected[start:]


def test_after_many_transactions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    env = lmdb.open(str(tmp_path / "db"), map_size=1 << 26)
    for _ in range(30):
        with env.begin(write=True) as transaction:
            for _ in range(40):
                key = str(rng.integers(500)).encode()
                if rng.random() < 0.4:
                    transaction.delete(key)
                else:
                    transaction.put(key, rng.bytes(int(rng.integers(0, 9000))))
    env.close()
    assert ours(tmp_path / "db") == library(tmp_path / "db")


def test_single_file(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "db.mdb", [b"a", b"b"], subdir=False)
    assert [v for _, v in ours(path)] == [b"a", b"b"]


def refused(path: Path) -> str:
    with pytest.raises(GraphError) as caught:
        ours(path)
    assert str(path) in caught.value.message
    return caught.value.code


def test_every_truncation(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "db", [bytes(5000)] * 20)
    data = (path / "data.mdb").read_bytes()
    whole = ours(path)
    assert len(whole) == 20
    for size in [0, 100, 4096, 4200, 8191, *range(8192, len(data) - 4096, 4096)]:
        (path / "data.mdb").write_bytes(data[:size])
        assert refused(path) == "GC-D001"
    (path / "data.mdb").write_bytes(data[:-1])  # padding of the last value
    assert ours(path) == whole


def test_disturbed_bytes_end_in_an_error(tmp_path: Path) -> None:
    values = [datum(p, 1) for p in pictures(300, 1, 4, 5)] + [bytes(6000)] * 3
    path = write_lmdb(tmp_path / "db", values)
    data = (path / "data.mdb").read_bytes()
    rng = np.random.default_rng(1)
    failures = 0
    for _ in range(300):
        changed = bytearray(data)
        page = int(rng.integers(len(data) // 4096))
        for _ in range(int(rng.integers(1, 4))):
            changed[page * 4096 + int(rng.integers(200))] = int(rng.integers(256))
        (path / "data.mdb").write_bytes(changed)
        try:
            file = LmdbFile(path)
            assert sum(1 for _ in islice(file.records(), 100_000)) < 100_000
        except GraphError as error:
            assert error.code in ("GC-D001", "GC-U001")
            failures += 1
        finally:
            file.close()
    assert failures > 50


def test_loop_in_the_tree(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "db", [bytes(1000)] * 100)
    data = bytearray((path / "data.mdb").read_bytes())
    pages = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    branch = next(i for i, p in enumerate(pages) if i > 1 and p[10] & 0x01)
    for offset in np.frombuffer(
        pages[branch][16 : int.from_bytes(pages[branch][12:14], "little")], "<u2"
    ):
        at = branch * 4096 + int(offset)
        data[at : at + 6] = branch.to_bytes(6, "little")
    for meta in (16, 4096 + 16):
        data[meta + 24 + 48 + 6 : meta + 24 + 48 + 8] = (32).to_bytes(2, "little")  # depth
    (path / "data.mdb").write_bytes(data)
    assert refused(path) == "GC-D001"


def test_other_databases(tmp_path: Path) -> None:
    env = lmdb.open(str(tmp_path / "named"), max_dbs=2)
    named = env.open_db(b"inner")
    with env.begin(write=True) as transaction:
        transaction.put(b"a", b"b", db=named)
    env.close()
    assert refused(tmp_path / "named") == "GC-U001"
    data = (write_lmdb(tmp_path / "new", [b"a"]) / "data.mdb").read_bytes()
    (tmp_path / "new" / "data.mdb").write_bytes(data[:20] + b"\x02" + data[21:])
    assert refused(tmp_path / "new") == "GC-U001"


def test_missing_and_empty(tmp_path: Path) -> None:
    assert refused(tmp_path) == "GC-D001"
    assert refused(tmp_path / "none") == "GC-D001"
    path = write_lmdb(tmp_path / "db", [])
    assert ours(path) == []
    with pytest.raises(GraphError, match="no records"):
        LmdbRecords(path, "native", Limits())


def test_closed(tmp_path: Path) -> None:
    file = LmdbFile(write_lmdb(tmp_path / "db", [b"a"]))
    file.close()
    file.close()
    with pytest.raises(GraphError, match="closed"):
        next(file.records())


def test_no_lock_file_is_made(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "db", [b"a"])
    (path / "lock.mdb").unlink()
    (path / "data.mdb").chmod(0o444)
    ours(path)
    assert [p.name for p in path.iterdir()] == ["data.mdb"]
