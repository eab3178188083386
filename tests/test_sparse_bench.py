"""tools/bench/sparse.py: a row for each layer or network and share of zeros."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import sparse
from texts import conv, feed


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "SECONDS", 0.001)


def test_a_row_for_each_layer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--layers", "resnet-50 res5 3x3,alexnet conv2", "--zeros", "0.8,0.9", "--rounds", "1"]
    assert sparse.main([*words, "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(r["layer"], r["zeros"]) for r in found] == [
        (layer, zeros) for layer in ("resnet-50 res5 3x3", "alexnet conv2") for zeros in (0.8, 0.9)
    ]
    assert all(r["dense"] > 0 and r["sparse"] > 0 for r in found)
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_network(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "net.prototxt"
    file.write_text(feed(data=(1, 8, 9, 9)) + conv("data", "a", 16))
    assert sparse.main(["--net", str(file), "--zeros", "0.9", "--rounds", "1"]) == 0
    assert "of 1 layers" in capsys.readouterr().out


def test_an_unknown_layer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sparse.main(["--layers", "nope"])
    assert "no layer 'nope'" in capsys.readouterr().err
