"""Data that cannot be trained on: source, record and layer are named, and weights stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data.makers import blob, datum, encoded_datum, pictures, png, write_lmdb

import graphc
from graphc.errors import GraphError

NET = """
layer { name: "read" type: "%s" top: "data" top: "label" %s transform_param { mean_file: "mean" } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
LMDB = ("Data", 'data_param { source: "db" batch_size: 2 backend: LMDB prefetch: 1 }')
FILES = ("ImageData", 'image_data_param { source: "list.txt" batch_size: 2 }')
SOLVER = 'net: "net.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" random_seed: 1'
IMAGES = pictures(40, 3, 30, 20)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 good images as LMDB and as files, a mean, a solver."""
    monkeypatch.chdir(tmp_path)
    write_lmdb(Path("db"), [datum(image, i % 4) for i, image in enumerate(IMAGES)])
    for i, image in enumerate(IMAGES):
        pixels = np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
        Path(f"{i}.png").write_bytes(png(pixels))
    Path("list.txt").write_text("".join(f"{i}.png {i % 4}\n" for i in range(40)))
    Path("mean").write_bytes(blob(np.full((3, 30, 20), 9, np.float32)))
    Path("solver.prototxt").write_text(SOLVER)
    return tmp_path


def solver(layer: tuple[str, str]) -> graphc.Solver:
    Path("net.prototxt").write_text(NET % layer)
    return graphc.Solver("solver.prototxt", threads=1)


def cut_lmdb() -> None:
    data = Path("db/data.mdb").read_bytes()
    Path("db/data.mdb").write_bytes(data[: len(data) // 2])


def spoil_image() -> None:
    Path("9.png").write_bytes(b"this is no image")


def cut_image() -> None:
    Path("9.png").write_bytes(Path("9.png").read_bytes()[:700])


def spoil_record() -> None:
    records = [datum(image, i % 4) for i, image in enumerate(IMAGES)]
    records[9] = encoded_datum(b"this is no image", 1)
    write_lmdb(Path("db"), records)


def other_size() -> None:
    records = [datum(image, i % 4) for i, image in enumerate(IMAGES)]
    records[9] = datum(IMAGES[9][:, :10], 1)
    write_lmdb(Path("db"), records)


def label_beyond() -> None:
    write_lmdb(Path("db"), [datum(image, i % 10) for i, image in enumerate(IMAGES)])


CASES: list[tuple[tuple[str, str], Callable[[], None], str, tuple[str, ...]]] = [
    (LMDB, cut_lmdb, "GC-D001", ("'db/data.mdb'", "lies beyond the end", "db', record ")),
    (LMDB, spoil_record, "GC-D001", ("'db', record 9 (key '00000009')", "no image")),
    (LMDB, other_size, "GC-D002", ("'db', record 9 (key '00000009')",)),
    (LMDB, label_beyond, "GC-D003", ("label 4", "'read'", "'db', record 4 (key '00000004')")),
    (FILES, spoil_image, "GC-D001", ("'list.txt', image '9.png'", "no image")),
    (FILES, cut_image, "GC-D001", ("'list.txt', image '9.png'", "broken image")),
]


@pytest.mark.parametrize(("layer", "spoil", "code", "told"), CASES)
def test_training_stops_at_the_record(
    folder: Path,
    layer: tuple[str, str],
    spoil: Callable[[], None],
    code: str,
    told: tuple[str, ...],
) -> None:
    """What was learned from the good records before it is that of a run that ends there."""
    good = solver(layer)
    learned = []
    for _ in range(20):
        good.step(1)
        learned.append([p.copy() for p in good.net.params["ip"]])
    good.close()
    spoil()
    bad = solver(layer)
    with pytest.raises(GraphError) as caught:
        bad.step(20)
    error = caught.value
    assert error.code == code and all(part in error.message for part in told), error.message
    assert error.layer == ("loss" if code == "GC-D003" else "read")
    assert 2 <= bad.iter <= 12
    for found, expected in zip(bad.net.params["ip"], learned[bad.iter - 1], strict=True):
        assert np.array_equal(found, expected)
    bad.close()


def fresh(layer: tuple[str, str]) -> GraphError:
    """What a new solver's first step raises; the weights are then those it began with."""
    made = solver(layer)
    before = [p.copy() for p in made.net.params["ip"]]
    with pytest.raises(GraphError) as caught:
        made.step(1)
    assert made.iter == 0
    for found, expected in zip(made.net.params["ip"], before, strict=True):
        assert np.array_equal(found, expected)
    made.close()
    return caught.value


@pytest.mark.parametrize(("layer", "record"), [(LMDB, "'db', record 0"), (FILES, "'0.png'")])
def test_mean_of_the_wrong_size(folder: Path, layer: tuple[str, str], record: str) -> None:
    Path("mean").write_bytes(blob(np.zeros((3, 20, 30), np.float32)))
    error = fresh(layer)
    assert error.code == "GC-D002" and error.layer == "read"
    for part in (record, "'mean'", "(3, 20, 30)", "(3, 30, 20)"):
        assert part in error.message


def test_missing_mean(folder: Path) -> None:
    Path("mean").unlink()
    error = fresh(LMDB)
    assert error.code == "GC-F001" and error.layer == "read" and "mean" in error.message


@pytest.mark.parametrize(
    ("layer", "spoil", "code"),
    [
        (LMDB, lambda: Path("db/data.mdb").unlink(), "GC-D001"),
        (LMDB, lambda: Path("db/data.mdb").write_bytes(b""), "GC-D001"),
        (LMDB, lambda: Path("db/data.mdb").write_bytes(bytes(9000)), "GC-D001"),
        (FILES, lambda: Path("list.txt").unlink(), "GC-F001"),
        (FILES, lambda: Path("list.txt").write_text(""), "GC-D001"),
        (FILES, lambda: Path("list.txt").write_text("0.png\n"), "GC-D002"),
        (FILES, lambda: Path("0.png").unlink(), "GC-F001"),
    ],
)
def test_no_source(
    folder: Path, layer: tuple[str, str], spoil: Callable[[], None], code: str
) -> None:
    spoil()
    with pytest.raises(GraphError) as caught:
        solver(layer)
    assert caught.value.code == code and caught.value.layer == "read"
    assert "db" in caught.value.message or "list.txt" in caught.value.message
