"""graphc inspect: table, JSON, IR text and prototxt; data layers, old nets, hostile artefacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.cli.inspect_verb import recipe_lines
from graphc.ir.text import parse_graph
from graphc.ops.registry import find
from graphc.passes.registry import DEFAULT


def test_a_prototxt(cli, tiny):
    done = cli("inspect", tiny, "-w", "tiny.caffemodel")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[:5] == [
        "tiny, phase TEST: 8 layers",
        "input data: 1x3x8x8",
        "output prob: 1x12",
        "weights: 1,860 parameters, 7.3 KiB with statistics",
        "",
    ]
    assert lines[5].split() == ["layer", "type", "bottoms", "tops", "MACs", "params"]
    conv = next(line for line in lines if line.startswith("conv "))
    for fact in ("Convolution", "conv@conv 1x4x6x6", "3,888", "weight 4x3x3x3, bias 4"):
        assert fact in conv
    assert lines[-1] == "note: weights: 4 layers loaded"


def test_an_artefact(cli, artefact):
    out = cli("inspect", artefact).out
    assert "compiled from tiny.prototxt, weights tiny.caffemodel by graphc" in out
    assert "recipe: remove_dead_code\n        remove_dropout\n        remove_identity\n" in out
    assert "pass remove_dropout: removed drop (largest output change: 0)" in out
    assert "pass remove_dead_code" not in out  # it changed nothing
    assert "drop " not in out.partition("layer ")[2].partition("pass ")[0]


def test_train_and_keep_are_shown(cli, tiny):
    cli("compile", tiny, "--train", "--keep", "conv")
    out = cli("inspect", "tiny.gcz").out
    assert "compiled with gradients from tiny.prototxt" in out and "kept: conv" in out


def test_json(cli, artefact):
    told = cli("inspect", artefact, "--json").json
    assert told["name"] == "tiny" and told["phase"] == "TEST"
    assert told["inputs"] == {"data": [1, 3, 8, 8]} and told["outputs"] == {"prob": [1, 12]}
    assert told["params"] == 1_852 and told["macs"] == 3_888 + 1_728
    conv = told["layers"][1]
    assert conv["type"] == "Convolution" and conv["macs"] == 3_888 and conv["line"] == 3
    assert conv["tops"] == {"conv@conv+1": [1, 4, 6, 6]} and conv["params"]["bias"] == [4]
    assert ["removed drop"] in [record["detail"] for record in told["history"]]
    assert told["artefact"]["source"]["weights"] == "tiny.caffemodel"
    assert told["artefact"]["recipe"].count("[[pass]]") == len(DEFAULT)
    assert cli("inspect", "tiny.prototxt", "--json").json["artefact"] is None


def test_text_and_prototxt(cli, tiny):
    printed = cli("inspect", tiny, "--text").out
    assert len(parse_graph(printed, find).nodes) == 8
    assert cli("inspect", tiny, "--text", "--json").json == {"text": printed}
    prototxt = cli("inspect", tiny, "--prototxt").out
    Path("again.prototxt").write_text(prototxt)
    assert cli("inspect", "again.prototxt").out == cli("inspect", tiny).out
    assert cli("inspect", tiny, "--prototxt", "--json").json == {"prototxt": prototxt}
    assert cli("inspect", tiny, "--prototxt", "--text").code == 2


OLD = """name: "old"
input: "data" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4
layers { name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip"
  inner_product_param { num_output: 5 } blobs_lr: 1 blobs_lr: 2 }
layers { name: "relu" type: RELU bottom: "ip" top: "ip" }
"""
OLDEST = """name: "oldest"
input: "data" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4
layers { layer { name: "ip" type: "innerproduct" num_output: 5 } bottom: "data" top: "ip" }
"""


@pytest.mark.parametrize("text", [OLD, OLDEST])
def test_old_nets_are_upgraded(cli, tmp_path, text):
    (tmp_path / "old.prototxt").write_text(text)
    upgraded = cli("inspect", "old.prototxt", "--prototxt").out
    assert 'type: "InnerProduct"' in upgraded and 'type: "Input"' in upgraded
    assert cli("run", "old.prototxt", "--json").json["outputs"]["ip"]["shape"] == [2, 5]


DATA = """name: "fed"
layer { name: "mnist" type: "Data" top: "data" top: "label"
  data_param { source: "no_such_lmdb" batch_size: 64 backend: LMDB } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 10 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.mark.parametrize("verb", ["inspect", "count", "compile"])
def test_shapes_stand_in_for_a_missing_source(cli, tmp_path, verb):
    (tmp_path / "fed.prototxt").write_text(DATA)
    done = cli(verb, "fed.prototxt")
    assert (done.code, done.out) == (7, "")
    for fact in ("fed.prototxt:2: GC-F001: layer 'mnist' (Data)", "no_such_lmdb", "--shape BLOB="):
        assert fact in done.err
    assert "--shape BLOB=" in cli(verb, "fed.prototxt", "--shape", "data=64x1x28x28").err
    done = cli(verb, "fed.prototxt", "--shape", "data=64x1x28x28", "--shape", "label=64")
    assert done.code == 0, done.err


def test_a_run_without_the_source_is_not_told_to_give_shapes(cli, tmp_path):
    (tmp_path / "fed.prototxt").write_text(DATA)
    done = cli("run", "fed.prototxt")
    assert done.code == 7 and "--shape" not in done.err


def test_an_artefact_says_where_it_looks_for_files(cli, tmp_path):
    (tmp_path / "fed.prototxt").write_text(DATA)
    cli("compile", "fed.prototxt", "--shape", "data=64x1x28x28", "--shape", "label=64")
    done = cli("run", "fed.gcz")
    assert done.code == 7 and "hint: an artefact finds files below its own folder" in done.err


def test_recipe_lines():
    assert recipe_lines(None) == [] == recipe_lines("") == recipe_lines("nonsense")
    text = '[[pass]]\nname = "a"\n\n[[pass]]\nfile = "f.py:B"\nx = 1\ny = true\n'
    assert recipe_lines(text) == ["a", "f.py:B, x = 1, y = true"]
    assert recipe_lines("[[pass]]\n") == [""]


def test_a_hostile_artefact_is_no_crash(cli, artefact, tmp_path):
    """Meta data may say anything."""
    import zipfile

    with zipfile.ZipFile(artefact) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for meta, code in {
        '{"format": 1, "source": 3, "keep": 4, "recipe": 5, "train": "x", "seed": []}': 3,
        '{"format": 1, "source": {"net": [1]}, "keep": "conv"}': 0,
        '{"format": 1, "keep": ["nope"]}': 2,
    }.items():
        with zipfile.ZipFile("bad.gcz", "w") as archive:
            for name, data in members.items():
                archive.writestr(name, meta if name == "meta.json" else data)
        assert cli("inspect", "bad.gcz").code == 0
        assert cli("run", "bad.gcz").code == code
