"""graphc compile: artefact names, passes, recipes, what is refused before any work."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from texts import fc, feed, layer

import graphc
from graphc import __version__
from graphc.cli.compile_verb import default_output
from graphc.cuda.on_cpu import unavailable
from graphc.passes.registry import DEFAULT
from graphc.runtime.artefact import read_artefact

DROP = '''"""A pass that drops nothing but says so."""
from dataclasses import dataclass

from graphc.passes.base import Pass, Report


@dataclass(frozen=True)
class Look(Pass):
    """Count the layers."""

    name = "look"
    least: int = 1

    def run(self, graph, ctx):
        count = len(graph.nodes)
        return Report(self.name, count >= self.least, tuple(f"saw {n.name}" for n in graph.nodes))
'''


HALVE = '''"""A pass that says what it would do, layer by layer."""
from dataclasses import dataclass

from graphc.ir.provenance import LayerChange
from graphc.passes.base import Pass, Report

LAYERS = (
    LayerChange("conv", "rank 2 of 4", macs=(4000, 2000), us=(1500.0, 750.0), weight_error=0.0125),
    LayerChange("fc", "stays", "it does not pay", macs=(1000, 1000), us=(10.0, 10.0)),
)


@dataclass(frozen=True)
class Halve(Pass):
    """Halve nothing."""

    name = "halve"

    def run(self, graph, ctx):
        return Report(self.name, layers=LAYERS)
'''


def meta(path: Path | str) -> dict[str, object]:
    return read_artefact(path)[1]


def test_what_it_prints(cli, tiny):
    done = cli("compile", tiny, "-w", "tiny.caffemodel")
    assert done.code == 0 and done.err == "note: weights: 4 layers loaded\n"
    lines = done.out.splitlines()
    assert lines[:2] == [
        "remove_dropout: removed drop (largest output change: 0)",
        "remove_identity: removed scale (Scale) (largest output change: 0)",
    ]
    assert lines[2].startswith("fold_batch_norm: conv takes in bn (largest output change: ")
    assert lines[3:6] == [
        "nothing to do: remove_dead_code, fold_constants, merge_common, fold_input, fold_scale",
        "input data: 1x3x8x8",
        "output prob: 1x12",
    ]
    assert lines[6].startswith("wrote tiny.gcz (")


def test_many_changes_and_refusals_are_told_shortly(cli):
    text = feed(data=(2, 3))
    for i in range(7):
        text += fc(f"n{i - 1}" if i else "data", f"f{i}", 4) + layer("BatchNorm", f"f{i}", f"b{i}")
        text += layer("TanH", f"b{i}", f"t{i}") + layer("BatchNorm", f"t{i}", f"m{i}")
        text += layer("TanH", f"m{i}", f"n{i}")
    Path("long.prototxt").write_text(text)
    lines = cli("compile", "long.prototxt", "--no-measure").out.splitlines()
    assert lines[:13] == [
        "fold_batch_norm",
        *(f"  f{i} takes in b{i}" for i in range(5)),
        "  and 2 more",
        *(
            f"  m{i} stays: before it comes TanH 't{i}'; after it comes TanH 'n{i}'"
            for i in range(5)
        ),
        "  and 2 more that stay",
    ]
    assert lines[13].startswith("nothing to do: remove_dead_code, remove_dropout, ")


def test_a_table_of_layers(cli, tiny):
    """It is printed without columns that nobody filled, kept in the artefact, and part of JSON."""
    Path("halve.py").write_text(HALVE)
    done = cli("compile", tiny, "-w", "tiny.caffemodel", "--passes", "halve.py:Halve")
    assert done.out.splitlines()[:5] == [
        "halve: nothing to do",
        "layer             MACs              ms  weight error  decision     reason",
        "conv    4,000 -> 2,000  1.500 -> 0.750        0.0125  rank 2 of 4",
        "fc               1,000           0.010                stays        it does not pay",
        "in all  5,000 -> 3,000  1.510 -> 0.760",
    ]
    graph = read_artefact("tiny.gcz")[0]
    halve = graph.history[-1]
    assert [each.decision for each in halve.layers] == ["rank 2 of 4", "stays"]
    assert halve.layers[0].us == (1500.0, 750.0) and halve.layers[0].params is None
    (_, report) = graphc.optimize(graphc.load(tiny), ["halve.py:Halve"])
    assert "fc      1,000           0.010" in str(report)
    told = cli("compile", tiny, "--passes", "halve.py:Halve", "--json").json
    assert told["passes"][-1]["layers"][1]["reason"] == "it does not pay"


def test_no_weights_are_said_loudly(cli, tiny):
    done = cli("compile", tiny, "--seed", 3)
    assert done.err == "note: no weights given: parameters come from the fillers, seed 3\n"


def test_json(cli, tiny):
    told = cli("compile", tiny, "-w", "tiny.caffemodel", "--train", "--json").json
    assert told["artefact"] == "tiny.gcz" and told["bytes"] == os.path.getsize("tiny.gcz")
    assert told["inputs"] == {"data": [1, 3, 8, 8]} and told["outputs"] == {"prob": [1, 12]}
    assert told["train"] is True and told["passes"] == [] and told["target"] == "cpu"
    assert told["notes"] == ["weights: 4 layers loaded"] and told["seconds"] >= 0


@pytest.mark.parametrize(
    ("net", "name"),
    [
        ("some/lenet/deploy.prototxt", "lenet.gcz"),
        ("some/lenet/train.prototxt", "lenet_train.gcz"),
        ("some/alexnet/train_val.prototxt", "alexnet_train_val.gcz"),
        ("some/lenet/mine.prototxt", "mine.gcz"),
        ("/deploy.prototxt", "deploy.gcz"),
    ],
)
def test_default_names(net, name):
    assert default_output(net) == Path(name)


def test_output_option(cli, tiny, tmp_path):
    (tmp_path / "sub").mkdir()
    assert cli("compile", tiny, "-o", "sub/x.gcz").code == 0
    assert graphc.open("sub/x.gcz").inputs == {"data": (1, 3, 8, 8)}


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
def test_what_a_gpu_would_run_runs_without_one(cli, tiny):
    for target in ("cpu", "fake"):
        assert cli("compile", tiny, "--target", target, "-o", f"{target}.gcz").code == 0
        assert cli("run", f"{target}.gcz", "-o", f"{target}.npz").code == 0
    assert graphc.open("fake.gcz").plan.target == "cuda"
    with np.load("cpu.npz") as wanted, np.load("fake.npz") as found:
        assert wanted.files == found.files
        assert all(np.allclose(found[name], wanted[name], atol=1e-5) for name in wanted.files)


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["-o", "tiny.caffemodel"], 2, "GC-C001: -o 'tiny.caffemodel': an artefact is called .gcz"),
        (["-o", "no/x.gcz"], 7, "GC-F002: cannot write 'no/x.gcz': no folder 'no'"),
        (["--target", "cuda"], 6, "GC-X001: "),
        (["--target", "gpu"], 2, "GC-R002: no target 'gpu'"),
        (["--memory", "1GiB", "--target", "reference"], 4, "GC-U001: target 'reference' has no"),
        (["--memory", "1kB"], 5, "GC-M001: the plan for target cpu needs"),
        (["--memory", "1 apple"], 2, "GC-R004: a memory budget of '1 apple' is no size"),
        (["--no-passes", "--pass", "remove_dropout"], 2, "GC-C001: --no-passes contradicts"),
        (["--pass", "remove_drop"], 2, "did you mean 'remove_dropout'"),
        (["--pass", "remove_dropout:x=1"], 2, "GC-T001: pass 'remove_dropout' has no option 'x'"),
        (["--pass", "remove_dropout:x"], 2, "GC-T001"),
        (["--passes", "look.py"], 2, "hint: write look.py:CLASS"),
        (["--passes", "look.py:Lock"], 2, "'Look'"),
        (["--passes", "nowhere.py:Look"], 7, "GC-F001"),
        (["--recipe", "look.toml"], 7, "did you mean 'look.py'"),
        (["--keep", "cov"], 2, "did you mean 'conv'"),
        (["-w", "tiny.cafemodel"], 7, "did you mean 'tiny.caffemodel'"),
        (["--ops", "nowhere.py"], 7, "no such file: 'nowhere.py'"),
        (["--dialect", "nofork"], 2, "nofork"),
        (["--shape", "data"], 2, "GC-C001: --shape 'data' is not BLOB=DIMS"),
        (["--shape", "data=1xa"], 2, "GC-C001"),
        (["--shape", "dat=1x3x8x8"], 2, "did you mean 'data'"),
    ],
)
def test_refusals_write_nothing(cli, tiny, tmp_path, args, code, text):
    (tmp_path / "look.py").write_text(DROP)
    before = sorted(tmp_path.iterdir()), Path("tiny.caffemodel").read_bytes()
    done = cli("compile", tiny, *args)
    assert (done.code, done.out) == (code, ""), done.err
    assert text in done.err
    after = sorted(p for p in tmp_path.iterdir() if p.name != "__pycache__")
    assert before == (after, Path("tiny.caffemodel").read_bytes())


def test_an_artefact_is_not_compiled_again(cli, artefact):
    done = cli("compile", artefact)
    assert done.code == 2 and "GC-R003: 'tiny.gcz' is an artefact already" in done.err


def test_folders_and_missing_files_say_what_is_there(cli, tiny, tmp_path):
    done = cli("compile", ".")
    assert done.code == 7 and "'.' is a folder" in done.err
    assert "it holds tiny.caffemodel, tiny.prototxt" in done.err
    assert "did you mean 'tiny.prototxt'?" in cli("compile", "tny.prototxt").err
    (tmp_path / "empty").mkdir()
    assert "hint: name a file" in cli("compile", "empty").err
    assert cli("compile", "a\0b").code == 7


def test_passes_of_the_user_keep_their_order(cli, tiny, tmp_path):
    (tmp_path / "look.py").write_text(DROP)
    (tmp_path / "r.toml").write_text('[[pass]]\nfile = "look.py:Look"\nleast = 3\n')
    done = cli(
        "compile", tiny, "--recipe", "r.toml", "--pass", "remove_dropout",
        "--passes", "look.py:Look:least=99", "--pass", "remove_dead_code", "--no-measure",
    )  # fmt: skip
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "look" and lines[5:8] == ["  saw relu", "  and 3 more", lines[7]]
    assert lines[7:9] == ["remove_dropout: removed drop", "look"]
    assert "nothing to do: remove_dead_code" in lines
    assert meta("tiny.gcz")["recipe"] == (
        '[[pass]]\nfile = "look.py:Look"\nleast = 3\n\n'
        '[[pass]]\nname = "remove_dropout"\n\n'
        '[[pass]]\nfile = "look.py:Look"\nleast = 99\n\n'
        '[[pass]]\nname = "remove_dead_code"\n'
    )


def test_the_recipe_in_an_artefact_compiles_again(cli, artefact, tmp_path):
    (tmp_path / "again.toml").write_text(str(meta(artefact)["recipe"]))
    told = cli("compile", "tiny.prototxt", "--recipe", "again.toml", "--json").json
    assert [p["name"] for p in told["passes"]] == list(DEFAULT)


def test_no_passes(cli, tiny):
    assert cli("compile", tiny, "--no-passes", "--json").json["passes"] == []
    assert "recipe" not in meta("tiny.gcz")


def test_measure_and_max_error(cli, tiny):
    for option, change in (("--measure", 0.0), ("--no-measure", None)):
        told = cli("compile", tiny, option, "--json").json
        assert told["passes"][1]["max_change"] == change
        norm = next(p for p in told["passes"] if p["name"] == "fold_batch_norm")
        assert norm["changed"] and norm["detail"] == ["conv takes in bn"]
        assert change is None if norm["max_change"] is None else norm["max_change"] < 1e-5
    assert cli("compile", tiny, "--max-error", "0.5").code == 0


def test_dump(cli, tiny, tmp_path):
    assert cli("compile", tiny, "--dump", "steps").code == 0
    files = sorted(p.name for p in (tmp_path / "steps").iterdir())
    assert files[:3] == ["00_input.txt", "01_remove_dead_code.txt", "02_remove_dropout.txt"]
    assert files[3:] == [f"{i:02d}_{name}.txt" for i, name in enumerate(DEFAULT[2:], 3)]
    assert '"drop"' in (tmp_path / "steps" / files[0]).read_text()


def test_provenance(cli, tiny):
    args = ("--level", 2, "--stage", "a", "--stage", "b", "--phase", "train", "--train")
    assert cli("compile", tiny, "-w", "tiny.caffemodel", *args).code == 0
    told = meta("tiny.gcz")
    assert told["train"] is True
    assert told["source"] == {
        "graphc": __version__,
        "net": "tiny.prototxt",
        "weights": "tiny.caffemodel",
        "phase": "TRAIN",
        "level": 2,
        "stages": ["a", "b"],
        "layers": [],
        "set": [],
        "target": "cpu",
    }


def test_keep_is_remembered(cli, tiny):
    assert cli("compile", tiny, "--keep", "conv", "--keep", "drop").code == 0
    assert meta("tiny.gcz")["keep"] == ["conv", "drop"]
    assert list(cli("run", "--json").json["outputs"]) == ["prob", "conv", "drop"]
    assert list(cli("run", "--keep", "fc", "--json").json["outputs"])[-1] == "fc"
    assert cli("compile", tiny, "--keep", "all").code == 0
    told = cli("run", "--json").json["outputs"]
    assert list(told) == ["prob", "data", "conv@conv+1", "conv", "fc"]


RULES = """name: "rules"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "TanH" bottom: "x" top: "a" include { phase: TRAIN } }
layer { name: "b" type: "TanH" bottom: "x" top: "b" include { min_level: 3 } }
layer { name: "c" type: "TanH" bottom: "x" top: "c" include { stage: "deep" } }
layer { name: "d" type: "Silence" bottom: "x" }
"""


@pytest.mark.parametrize(
    ("args", "outputs"),
    [
        ([], []),
        (["--phase", "TRAIN"], ["a"]),
        (["--level", "3"], ["b"]),
        (["--stage", "deep"], ["c"]),
        (["--phase", "train", "--level", "4", "--stage", "deep"], ["a", "b", "c"]),
    ],
)
def test_rules(cli, tmp_path, args, outputs):
    (tmp_path / "rules.prototxt").write_text(RULES)
    assert list(cli("compile", "rules.prototxt", *args, "--json").json["outputs"]) == outputs


def test_shape_and_batch(cli, tiny):
    told = cli("compile", tiny, "--batch", 5, "--json").json
    assert told["inputs"] == {"data": [5, 3, 8, 8]} and told["outputs"] == {"prob": [5, 12]}
    told = cli("compile", tiny, "--shape", "data=2x3x9,7", "--json").json
    assert told["inputs"] == {"data": [2, 3, 9, 7]}


def test_incomplete_weights(cli, tiny, tmp_path):
    (tmp_path / "more.prototxt").write_text(
        tiny.read_text()
        + 'layer { name: "more" type: "InnerProduct" bottom: "fc" top: "more" '
        + "inner_product_param { num_output: 2 } }"
    )
    done = cli("compile", "more.prototxt", "-w", "tiny.caffemodel")
    assert done.code == 3 and "GC-W002" in done.err and "--no-strict-weights" in done.err
    done = cli("compile", "more.prototxt", "-w", "tiny.caffemodel", "--no-strict-weights")
    assert done.code == 0 and "1 missing (more)" in done.err


def test_strict_limits(cli, tiny):
    assert cli("compile", tiny, "--strict").code == 0
    Path("up").mkdir()
    text = """layer { name: "d" type: "Data" top: "x"
      data_param { source: "../x" batch_size: 1 backend: LMDB } }"""
    Path("up/net.prototxt").write_text(text)
    assert "GC-F003" in cli("compile", "up/net.prototxt", "--strict").err
    assert "GC-F001" in cli("compile", "up/net.prototxt").err


def test_a_failed_write_leaves_the_old_artefact(cli, artefact, monkeypatch):
    old = Path(artefact).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = cli("compile", "tiny.prototxt")
    assert done.code == 7 and "GC-F002" in done.err and "free some space" in done.err
    assert Path(artefact).read_bytes() == old


def test_filters_are_removed(cli, tiny):
    told = cli("compile", tiny, "-w", "tiny.caffemodel", "--pass", "remove_filters:ratio=0.5")
    assert told.code == 0 and "2 channels go, mask-equivalent" in told.out
    assert "2 of 4 filters go" in told.out and "Softmax 'prob' fixes axis 1 of 'fc'" in told.out
    out = cli("run", "tiny.gcz", "--json")
    assert out.code == 0 and list(out.json["outputs"]) == ["prob"]
    wrong = cli("compile", tiny, "--pass", "remove_filters:macs=0.001")
    assert wrong.code == 2 and "macs=0.001 cannot be reached" in wrong.err
