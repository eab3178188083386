"""A pass that puts in a layer which plain Caffe lacks, without and with leave to."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from texts import feed, graph, layer

import graphc
from graphc.cli.verbs import cli
from graphc.errors import GraphError

PASS = """
import numpy as np

from graphc.ir.edit import set_params
from graphc.ir.names import Names
from graphc.ops.gate import Gate
from graphc.passes.base import Pass, Report

class Halve(Pass):
    name, exact = "halve", False

    def run(self, graph, ctx):
        node = graph.nodes[-1]
        node.op, node.attrs = Gate, Gate.Attrs()
        half, open = np.full(3, 0.5, np.float32), np.ones(3, np.float32)
        set_params(graph, Names.of(graph), node, {"weight": half, "mask": open})
        return Report(self.name, True, (node.name,))
"""
NET = feed(data=(2, 3)) + layer("ReLU", "data", "y")


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PASS)


def test_it_is_refused_unless_allowed() -> None:
    Path("net.prototxt").write_text(NET)
    words = ["compile", "net.prototxt", "--pass", "own.py:Halve"]
    with pytest.raises(GraphError, match="pass 'halve' put in 'y', a Gate, which Caffe lacks") as e:
        CliRunner().invoke(cli, words, catch_exceptions=False)
    assert e.value.code == "GC-T001" and "--allow-extensions" in e.value.hint
    assert CliRunner().invoke(cli, [*words, "--allow-extensions"]).exit_code == 0
    with graphc.open("net.gcz") as exe:
        assert exe.run({"data": [[6, 4, -2]] * 2})["y"].tolist() == [[3, 2, -1]] * 2
    with pytest.raises(GraphError, match="which Caffe lacks"):
        graphc.compile("net.prototxt", passes=["own.py:Halve"])
    graphc.compile("net.prototxt", passes=["own.py:Halve"], allow_extensions=True).close()


def test_what_was_there_may_stay() -> None:
    net = graph(feed(data=(2, 3)), layer("Gate", "data", "x"), layer("ReLU", "x", "y"))
    made, report = graphc.optimize(net, ["own.py:Halve"])
    assert report.passes[-1].changed and [node.op.type for node in made.nodes[1:]] == ["Gate"] * 2
