"""graphc data convert, mean and show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.makers import pictures, png

import graphc
from graphc.data.blob import read_blob
from graphc.limits import Limits

IMAGES = np.stack(pictures(4, 3, 5, 6))


@pytest.fixture
def stored(cli, tmp_path: Path) -> Path:
    """x.npz in the folder where graphc runs: four images of three classes."""
    np.savez(tmp_path / "x.npz", data=IMAGES, label=[2, 0, 1, 2])
    return Path("x.npz")


@pytest.fixture
def photos(cli, tmp_path: Path) -> Path:
    """Folders of classes with an image each."""
    for name, image in zip(("cat", "dog"), IMAGES, strict=False):
        (tmp_path / "photos" / name).mkdir(parents=True)
        pixels = np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
        (tmp_path / "photos" / name / "1.png").write_bytes(png(pixels))
    return Path("photos")


def test_convert(cli, stored):
    done = cli("data", "convert", stored, "-o", "db")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "db: lmdb, 4 records, 3x5x6",
        "label  records",
        "    0        1",
        "    1        1",
        "    2        2",
    ]
    again = cli("data", "convert", stored, "-o", "db")
    assert again.code == 7 and "already" in again.err and "--force" in again.err
    told = cli("data", "convert", stored, "-o", "db", "--force", "--json").json
    assert told["labels"] == {"0": 1, "1": 1, "2": 2} and told["shape"] == [3, 5, 6]


def test_convert_a_folder(cli, photos):
    words = ("-o", "small.h5", "--resize", "3x2", "--gray", "--classes", "classes.txt")
    done = cli("data", "convert", photos, *words)
    assert done.code == 0, done.err
    assert "small.h5: hdf5, 2 records, 1x3x2" in done.out and "dog" in done.out
    assert Path("classes.txt").read_text() == "cat\ndog\n"
    assert cli("data", "convert", photos, *words).code == 7
    wrong = cli("data", "convert", photos, "-o", "x", "--resize", "3")
    assert wrong.code == 2 and "HxW" in wrong.err
    assert cli("data", "convert", photos, "-o", "x", "--resize", "0x3").code == 3


def test_mean(cli, stored):
    done = cli("data", "mean", stored, "-o", "mean.binaryproto", "--json")
    expected = IMAGES.mean(0, dtype=np.float64).astype(np.float32)
    assert done.json["shape"] == [3, 5, 6]
    assert np.allclose(done.json["channels"], expected.mean((1, 2)))
    found = read_blob(Path("mean.binaryproto"), Limits())
    assert found.shape == (1, 3, 5, 6) and np.array_equal(found[0], expected)
    assert "of its channels: " in cli("data", "mean", stored).out
    assert cli("data", "mean", stored, "-o", "mean.npy").code == 0
    assert np.array_equal(np.load("mean.npy"), expected)
    assert cli("data", "mean", stored, "-o", "mean.npy").code == 7
    assert cli("data", "mean", stored, "-o", "mean.txt").code == 2
    assert np.array_equal(graphc.mean_image("x.npz"), expected)


def test_mean_of_several_sizes(cli, photos):
    place = photos / "dog" / "2.png"
    place.write_bytes(png(np.zeros((2, 2, 3), np.uint8)))
    done = cli("data", "mean", photos)
    assert done.code == 3 and "GC-D002" in done.err and "dog/2.png" in done.err
    assert cli("data", "mean", photos, "--resize", "4x4").code == 0


def test_show(cli, stored, photos):
    cli("data", "convert", stored, "-o", "db")
    assert cli("data", "show", "db").out.splitlines() == [
        "db: lmdb, 4 records of uint8",
        "shapes: 3x5x6 (4)",
        "first:  00000000, 00000001, 00000002, 00000003",
        "label  records",
        "    0        1",
        "    1        1",
        "    2        2",
    ]
    told = cli("data", "show", photos, "--json").json
    assert told["kind"] == "folder" and told["classes"] == ["cat", "dog"]
    assert told["keys"] == ["cat/1.png", "dog/1.png"]
    assert told["shapes"] == [{"shape": [3, 5, 6], "count": 2}]
    assert graphc.describe_data("db").labels == {0: 1, 1: 1, 2: 2}
    assert cli("data", "show", "none").code == 7


def test_progress_speaks_only_if_it_takes_long(cli, stored, monkeypatch):
    monkeypatch.setattr("graphc.cli.progress._ELSEWHERE", -1.0)
    done = cli("data", "convert", stored, "-o", "db")
    assert done.err.splitlines() == ["converting to db: 0 of 4", "converting to db: 4 of 4"]
