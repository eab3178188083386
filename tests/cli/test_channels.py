"""graphc channels."""

from __future__ import annotations

import shutil

import pytest
from texts import conv, fc, feed, layer

NET = (
    feed(data=(1, 3, 8, 8))
    + conv("data", "a", 6)
    + layer("LRN", "a", "n")
    + conv("n", "b", 4)
    + fc("b", "y", 2)
)


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return str(path)


def test_table(cli, net):
    out = cli("channels", net)
    assert out.code == 0
    assert "LRN 'n' looks at neighbours" in out.out
    assert "stays: 'y' is an output" in out.out
    assert out.out.endswith("10 channels in 2 groups may go\n")


def test_json(cli, net):
    found = cli("channels", net, "--json").json["groups"]
    assert [g["channels"] for g in found] == [6, 4, 2]
    assert found[0]["layers"] == ["a"] and found[0]["readers"] == ["b"]
    assert {"blob": "a:weight", "axis": 0, "indices": 1} in found[0]["axes"]


def test_dot(cli, net, tmp_path):
    path = tmp_path / "net.dot"
    assert cli("channels", net, "--dot", str(path)).code == 0
    text = path.read_text()
    assert '"a" -> g0;' in text and 'g0 -> "b";' in text and text.startswith("digraph")


def test_svg(cli, net, tmp_path, monkeypatch):
    path = tmp_path / "net.svg"
    if shutil.which("dot"):
        assert cli("channels", net, "--svg", str(path)).code == 0
        assert "<svg" in path.read_text()
    monkeypatch.setenv("PATH", "")
    out = cli("channels", net, "--svg", str(path))
    assert out.code == 2 and "Graphviz" in out.err
