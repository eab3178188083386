"""A pass of the user's by every road; what it made runs on the C++ core where the pass is not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import graphc
from graphc.cli.verbs import cli
from graphc.passes.base import Pass
from graphc.passes.recipe import read_recipe

PASS = """
from dataclasses import dataclass
from graphc.ir.edit import bypass
from graphc.ops.power import Power
from graphc.passes.base import Pass, Report

@dataclass(frozen=True)
class DropSmall(Pass):
    name, exact = "drop_small", False
    limit: float = 0.0

    def run(self, graph, ctx):
        found = [n for n in graph.nodes if n.op is Power and abs(n.attrs.shift) <= self.limit]
        for node in found:
            bypass(graph, node, node.outs["y"], node.ins["x"], ctx.pinned)
        return Report(self.name, bool(found), tuple(node.name for node in found))
"""
RECIPE = """
[[pass]]
file = "own.py:DropSmall"
limit = 0.5

[[pass]]
name = "remove_dead_code"
"""
NET = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "near" type: "Power" bottom: "data" top: "near" power_param { shift: 0.25 } }
layer { name: "far" type: "Power" bottom: "near" top: "far" power_param { shift: 2 } }
layer { name: "tanh" type: "TanH" bottom: "far" top: "tanh" }
"""
X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


def own_pass() -> type[Pass]:
    """The class, imported as anything is."""
    spec = importlib.util.spec_from_file_location("own", "own.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: type[Pass] = module.DropSmall
    return made


def command(*args: str) -> None:
    words = ["compile", "net.prototxt", "--target", "cpu", "-o", "net.gcz", *args]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def save(net: graphc.Graph | str, passes: object) -> None:
    graphc.compile(net, target="cpu", passes=passes).save("net.gcz")  # type: ignore[arg-type]


def by_option() -> None:
    command("--passes", "own.py:DropSmall:limit=0.5")


def by_recipe() -> None:
    command("--recipe", "r.toml")


def by_object() -> None:
    save("net.prototxt", [own_pass()(limit=0.5)])  # type: ignore[call-arg]


def by_optimize() -> None:
    net, report = graphc.optimize(graphc.load("net.prototxt"), [own_pass()(limit=0.5)])  # type: ignore[call-arg]
    assert "near" in str(report)
    save(net, ())


def by_name_of_its_file() -> None:
    Path("own.py").write_text(PASS.replace("limit: float = 0.0", "limit: float = 0.5"))
    save("net.prototxt", ["own.py:DropSmall", "remove_dead_code"])


def by_recipe_in_python() -> None:
    save("net.prototxt", read_recipe(Path("r.toml")))


def by_the_recipe_of_an_artefact() -> None:
    by_option()
    Path("kept.toml").write_text(graphc.open("net.gcz").meta["recipe"])
    Path("net.gcz").unlink()
    command("--recipe", "kept.toml")


ROADS = (
    by_option,
    by_recipe,
    by_object,
    by_optimize,
    by_name_of_its_file,
    by_recipe_in_python,
    by_the_recipe_of_an_artefact,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("own.py").write_text(PASS)
    Path("r.toml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize("road", ROADS, ids=[road.__name__ for road in ROADS])
def test_what_it_made_runs_without_it(road: Callable[[], None], folder: Path) -> None:
    road()
    for name in ("own.py", "r.toml", "net.prototxt"):
        Path(name).unlink()
    np.save("x.npy", X)
    words = ("-m", "graphc", "run", "net.gcz", "--input", "x.npy", "-o", "out.npz")
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load("out.npz") as found:
        assert np.allclose(found["tanh"], np.tanh(X + 2), rtol=0, atol=1e-6)
    exe = graphc.open("net.gcz")
    assert exe.target == "cpu" and [n.name for n in exe.graph.nodes] == ["in", "far", "tanh"]
    assert [r.name for r in exe.graph.history if r.changed] == ["drop_small"]
