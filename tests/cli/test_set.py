"""--set: fields changed from the command line and from Python, for every verb about a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.conftest import Cli

import graphc
from graphc import GraphError

WIDER = ("--set", "layer[fc].inner_product_param.num_output=5")
TRAINED = """name: "trained"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""


def test_compile_and_run(cli: Cli, tiny: Path, arrays: Any) -> None:
    done = cli("compile", tiny, *WIDER, "--json")
    assert done.code == 0, done.err
    assert done.json["outputs"] == {"prob": [1, 5]}
    told = cli("inspect", "tiny.gcz", "--json").json
    assert "layer[fc].inner_product_param.num_output=5" in json.dumps(told)
    assert cli("run", "tiny.gcz", "-o", "out.npz").code == 0
    assert arrays("out.npz")["prob"].shape == (1, 5)
    ran = cli("run", tiny, *WIDER, "--json")
    assert ran.json["outputs"]["prob"]["shape"] == [1, 5]


@pytest.mark.parametrize("verb", ["count", "inspect", "plan", "check-grad", "compare", "bench"])
def test_verbs(verb: str, cli: Cli, tiny: Path) -> None:
    """Each obeys it, and each says what is wrong with it."""
    quick = ("--repeat", 1, "--warmup", 0) if verb == "bench" else ()
    done = cli(verb, tiny, *WIDER, "--json", *quick)
    assert done.code == 0, done.err
    if verb == "count":
        plain = cli(verb, tiny, "--json", *quick).json
        assert plain["params"] != done.json["params"]
    wrong = cli(verb, tiny, "--set", "layer[fc1].type=ReLU", *quick)
    assert wrong.code == 2
    assert wrong.err.startswith("--set layer[fc1].type: GC-R002: no layer 'fc1'")
    assert "did you mean 'fc'" in wrong.err


def test_values_with_equal_signs_and_several_options(cli: Cli, tiny: Path) -> None:
    done = cli("inspect", tiny, "--prototxt", "--set", "name=a=b", "--set", "name=c=d", *WIDER)
    assert 'name: "c=d"' in done.out and "num_output: 5" in done.out


def test_what_is_written_wrongly(cli: Cli, tiny: Path) -> None:
    for text in ("layer[fc].inner_product_param.num_output", "=5", "layer[fc=5", ""):
        done = cli("count", tiny, "--set", text)
        assert done.code == 2 and "GC-R004" in done.err, text
    done = cli("count", tiny, "--set", "layer[fc].inner_product_param.num_output=many", "--json")
    assert done.json["error"]["file"] == "--set layer[fc].inner_product_param.num_output"


def test_artefacts_are_settled(cli: Cli, artefact: Path) -> None:
    done = cli("run", artefact, *WIDER)
    assert done.code == 2 and "GC-R003" in done.err and "--set was settled" in done.err


def test_plan_with_a_solver(cli: Cli, tmp_path: Path) -> None:
    """What begins with net. is the network's, anything else the solver's."""
    (tmp_path / "net.prototxt").write_text(TRAINED)
    (tmp_path / "solver.prototxt").write_text('net: "net.prototxt" base_lr: 1 lr_policy: "fixed"')
    plan = ("plan", "net.prototxt", "--train", "--solver", "solver.prototxt", "--json")
    plain = cli(*plan)
    wide = cli(*plan, "--set", "net.layer[ip].inner_product_param.num_output=400")
    assert wide.json["breakdown"]["weights"] > 40 * plain.json["breakdown"]["weights"]
    for path in ("net.layer[iq].type", "net.layer[ip].tpe"):
        done = cli(*plan, "--set", f"{path}=x")
        assert done.code == 2 and f"--set {path}: GC-R002" in done.err
    bare = cli("plan", "net.prototxt", "--set", "net.layer[ip].name=x")
    assert "leave out net." in bare.err


def test_python(cli: Cli, tiny: Path) -> None:
    told = {
        "layer[fc].inner_product_param.num_output": 5,
        "layer[in].input_param.shape[0].dim": [2, 3, 8, 8],
    }
    net = graphc.load(tiny, set=told)
    assert net.params["fc"][0].shape[0] == 5
    with graphc.compile(tiny, set=told) as exe:
        assert exe.run({"data": np.zeros((2, 3, 8, 8))})["prob"].shape == (2, 5)
    assert graphc.plan(tiny, set=told).peak_bytes != graphc.plan(tiny).peak_bytes
    assert graphc.lowered(tiny, set=told).graph.outputs[0].type.shape == (2, 5)
    for made in (graphc.compile, graphc.plan, graphc.lowered):
        with pytest.raises(GraphError, match="GC-R002: set= changes what a file says"):
            made(net, set=told)
    with pytest.raises(GraphError, match=r"--set layer\[fc1\]\.type: GC-R002"):
        graphc.compile(tiny, set={"layer[fc1].type": "ReLU"})
