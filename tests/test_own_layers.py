"""A layer of the user's, as a reference or as an expression: on the command line, in Python, in
artefacts that another process opens.

In processes of their own: the registry keeps what it has seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

HEAD = """
from dataclasses import dataclass
import numpy as np
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Var, tanh
from graphc.ops.spec import Forward, Grad, OpSpec, Sample

@dataclass(frozen=True)
class OwnGateAttrs:
    beta: float = 1.0
"""
REFERENCE = '''
class OwnGate(OpSpec):
    """y = x * tanh(beta * x)."""

    type, param_field, Attrs = "OwnGate", "own_gate_param", OwnGateAttrs
    samples = (Sample(((2, 3),)),)

    @staticmethod
    def infer(a, s):
        return {"y": s.ins["x"]}

    @staticmethod
    def grads(a, s):
        return (Grad("x", reads=("dy", "x")),)

    @staticmethod
    def reference(a, v, ctx):
        return {"y": v["x"] * np.tanh(a.beta * v["x"])}

    @staticmethod
    def vjp(a, part, v, ctx):
        t = np.tanh(a.beta * v["x"])
        return v["dy"] * (t + a.beta * v["x"] * (1 - t * t))
'''
EXPRESSION = '''
class OwnGate(Elementwise):
    """y = x * tanh(beta * x)."""

    type, param_field, Attrs = "OwnGate", "own_gate_param", OwnGateAttrs
    samples = (Sample(((2, 3),)),)

    @staticmethod
    def forward(a):
        return Var("x") * tanh(a.beta * Var("x"))

    @staticmethod
    def backward(a):
        x = Var("x")
        t = tanh(a.beta * x)
        return Var("dy") * (t + a.beta * x * (1 - t * t))
'''
LAYERS = {"reference": (REFERENCE, "host"), "expression": (EXPRESSION, "expr")}
NET = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 5 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param {
  num_output: 4 weight_filler { type: "constant" value: 0.2 } } }
layer { name: "gate" type: "OwnGate" bottom: "fc" top: "gate" own_gate_param { beta: 0.5 } }
"""
X = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
SUM = np.repeat(0.2 * X.sum(1, dtype=np.float64)[:, None], 4, 1)
WANTED = SUM * np.tanh(0.5 * SUM)

START = """
import numpy as np, graphc
from graphc.ops.registry import load_file
x = np.load("x.npy")
"""
COMPILE = """
exe = graphc.compile(graphc.load("net.prototxt"), target="cpu")
exe.save("net.gcz")
"""
SHOW = """
np.savez("out.npz", **exe.run({"data": x}))
calls = exe._executor.prepared.program.calls
print(exe.target, *[c.variants[0].symbol for c in calls if c.name == "gate"])
"""


class Folder:
    """Where the user works, each time in a new process."""

    def __init__(self, path: Path, more: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.environment = os.environ | dict(more or {})

    def start(self, *command: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, *command)
        how = {"cwd": self.path, "env": self.environment, "capture_output": True, "text": True}
        return subprocess.run(command, **how)

    def graphc(self, *args: str) -> str:
        done = self.start("-m", "graphc", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        done = self.start("-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def check(self, wanted: np.ndarray = WANTED) -> None:
        """The output written last, which is then gone."""
        out = self.path / "out.npz"
        with np.load(out) as found:
            assert np.allclose(found["gate"], wanted, rtol=0, atol=1e-6)
        out.unlink()


Make = Callable[[str], Folder]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def with_layer(kind: str) -> Folder:
        (tmp_path / "own.py").write_text(HEAD + LAYERS[kind][0])
        (tmp_path / "net.prototxt").write_text(NET)
        np.save(tmp_path / "x.npy", X)
        return Folder(tmp_path)

    return with_layer


@pytest.mark.parametrize("kind", LAYERS)
def test_from_the_command_line_to_python(make: Make, kind: str) -> None:
    folder, symbol = make(kind), LAYERS[kind][1]
    words = ("net.prototxt", "--ops", "own.py", "--target", "cpu")
    folder.graphc("run", *words, "--input", "x.npy", "-o", "out.npz")
    folder.check()
    folder.graphc("compile", *words, "-o", "net.gcz")
    opened = START + "load_file('own.py')\nexe = graphc.open('net.gcz')\n"
    assert folder.python(opened + SHOW) == f"cpu {symbol}"
    folder.check()
    told = folder.graphc("ops", "OwnGate", "--ops", "own.py")
    assert ("cpu" in told.split("runs on:")[1].splitlines()[0]) == (symbol != "host")


@pytest.mark.parametrize("kind", LAYERS)
def test_from_python_to_the_command_line(make: Make, kind: str) -> None:
    folder, symbol = make(kind), LAYERS[kind][1]
    assert folder.python(START + "load_file('own.py')\n" + COMPILE + SHOW) == f"cpu {symbol}"
    folder.check()
    folder.graphc("run", "net.gcz", "--ops", "own.py", "--input", "x.npy", "-o", "out.npz")
    folder.check()
    done = folder.start("-c", START + "graphc.open('net.gcz')")
    assert "GC-N001: unknown layer type 'OwnGate'" in done.stderr and "--ops" in done.stderr


PASS = """
from dataclasses import replace
from graphc.ops.registry import find
from graphc.passes.base import Pass, Report

class Harden(Pass):
    name, exact = "harden", False

    def run(self, graph, ctx):
        found = [node for node in graph.nodes if node.op is find("OwnGate")]
        for node in found:
            node.attrs = replace(node.attrs, beta=50.0)
        return Report(self.name, bool(found), tuple(node.name for node in found))
"""


def test_with_a_pass_of_the_users_in_a_recipe(make: Make) -> None:
    folder = make("expression")
    (folder.path / "harden.py").write_text(PASS)
    (folder.path / "r.toml").write_text('[[pass]]\nfile = "harden.py:Harden"\n')
    words = ("--ops", "own.py", "--recipe", "r.toml", "--target", "cpu", "-o", "net.gcz")
    assert "harden" in folder.graphc("compile", "net.prototxt", *words)
    (folder.path / "harden.py").unlink()
    folder.graphc("run", "net.gcz", "--ops", "own.py", "--input", "x.npy", "-o", "out.npz")
    folder.check(wanted=SUM * np.tanh(50 * SUM))


def installed(folder: Path, value: str) -> Folder:
    """A folder on the path of a package that offers a layer to everybody."""
    info = folder / "site" / "own-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[graphc.ops]\nown = {value}\n")
    (folder / "own.py").rename(folder / "site" / "own_layers.py")
    path = [str(folder / "site"), os.environ.get("PYTHONPATH", "")]
    return Folder(folder, {"PYTHONPATH": os.pathsep.join(filter(None, path))})


def test_from_an_installed_package(make: Make) -> None:
    folder = installed(make("expression").path, "own_layers")
    folder.graphc("compile", "net.prototxt", "-o", "net.gcz")
    assert folder.python(START + "exe = graphc.open('net.gcz')\n" + SHOW) == "cpu expr"
    folder.check()


def test_a_broken_package_is_named(make: Make) -> None:
    folder = installed(make("expression").path, "nowhere")
    done = folder.start("-m", "graphc", "run", "net.prototxt")
    assert done.returncode == 3
    assert "GC-O001: entry point 'own' (nowhere) cannot be loaded" in done.stderr
