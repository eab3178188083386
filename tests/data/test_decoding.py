"""Images that several threads decode: the same batches, the same errors, threads that end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import encoded_datum, pictures, png, sig, write_lmdb

from graphc.data.decoding import Pool
from graphc.data.transform import TransformParam
from graphc.errors import GraphError, fail
from graphc.ops.data import Data, DataAttrs
from graphc.ops.image_data import ImageData, ImageDataAttrs

IMAGES = pictures(11, 9, 8, 3)
PARAM = TransformParam(crop_size=5, mirror=True, scale=0.5)


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("graphc-decode")]


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("graphc.data.decoding.os.cpu_count", lambda: 4)
    yield
    assert not threads()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images as files and in an LMDB, one of another size."""
    images = [*IMAGES[:6], IMAGES[6][:7], *IMAGES[7:]]
    files = [png(image) for image in images]
    for i, file in enumerate(files):
        (tmp_path / f"{i}.png").write_bytes(file)
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i}\n" for i in range(11)))
    write_lmdb(tmp_path / "db", [encoded_datum(file, i) for i, file in enumerate(files)])
    return tmp_path


LAYERS: dict[str, tuple[Any, Any]] = {
    "list": (ImageData, ImageDataAttrs("list.txt", 7, transform_param=PARAM, shuffle=True)),
    "resized": (ImageData, ImageDataAttrs("list.txt", 7, new_height=6, new_width=5)),
    "encoded": (Data, DataAttrs("db", 7, backend="LMDB", transform_param=PARAM)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_same_as_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    op, attrs = LAYERS[kind]
    runs = []
    for cpus in (4, 1):
        monkeypatch.setattr("graphc.data.decoding.os.cpu_count", lambda n=cpus: n)
        with closing(op.open(attrs, sig(folder, phase="TRAIN"), 2)) as source:
            runs.append([source.next() for _ in range(6)])
            assert bool(threads()) is (cpus == 4)
        assert not threads()
    for found, expected in zip(*runs, strict=True):
        assert all(np.array_equal(found[role], expected[role]) for role in expected)


@pytest.mark.parametrize("kind", ["resized", "encoded"])
def test_the_first_bad_image_is_named(folder: Path, kind: str) -> None:
    op, attrs = LAYERS[kind]
    for i in (5, 3):
        (folder / f"{i}.png").write_bytes(b"no image")
    files = [(folder / f"{i}.png").read_bytes() for i in range(11)]
    write_lmdb(folder / "db", [encoded_datum(file, i) for i, file in enumerate(files)])
    with closing(op.open(attrs, sig(folder))) as source:
        for _ in range(2):
            with pytest.raises(GraphError, match=r"GC-D001.*('3\.png'|record 3 )"):
                source.next()
            assert source.state() == {"record": 0, "epoch": 0}


def test_order_and_refusals() -> None:
    with closing(Pool()) as pool:
        assert pool.map(lambda x: 2 * x, [1, 2, 3]) is None  # too few
        assert pool.map(lambda x: 2 * x, list(range(50))) == list(range(0, 100, 2))

        def one_fails(x: int) -> int:
            return x if x != 30 else fail("GC-D001", "30")

        assert pool.map(one_fails, list(range(50))) is None
        with pytest.raises(ZeroDivisionError):
            pool.map(lambda x: 1 // x, list(range(50)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_decodes() -> None:
    with closing(Pool()) as pool:
        pool.map(abs, list(range(20)))
        child = os.fork()
        if not child:
            found = pool.map(abs, list(range(20)))
            pool.close()
            os._exit(0 if found == list(range(20)) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert pool.map(abs, list(range(20))) == list(range(20))
