"""graphc run: which network, which inputs, what is printed and written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from graphc.cli.results import Labels, describe, show
from graphc.cli.running import split_arguments
from graphc.data.blob import write_mean


@pytest.fixture
def image(artefact, tmp_path):
    """A picture cat.png, and the same upside down."""
    module = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    module.fromarray(pixels).save(tmp_path / "cat.png")
    module.fromarray(pixels[::-1].copy()).save(tmp_path / "dog.png")
    return Path("cat.png")


@pytest.fixture
def array(artefact):
    """x.npy, a batch of two."""
    np.save("x.npy", np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32))
    return Path("x.npy")


def test_without_a_net_the_newest_artefact_runs(cli, artefact):
    Path("newer.gcz").write_bytes(Path(artefact).read_bytes())
    os.utime(artefact, (1, 1))
    done = cli("run")
    assert done.code == 0
    assert done.err.splitlines() == [
        "running newer.gcz, the newest .gcz here",
        "note: no input given: feeding random numbers",
    ]
    first, *ranked, last = done.out.splitlines()
    assert first == "prob: 1x12" and len(ranked) == 5 and " class " in ranked[0]
    assert last.startswith("newer.gcz: ") and last.endswith("ms on target cpu")


def test_an_empty_folder(cli):
    done = cli("run")
    assert done.code == 7 and "GC-F001: no .gcz in this folder" in done.err
    assert "`graphc compile` first" in done.err


def test_a_prototxt_runs_too(cli, tiny):
    done = cli("run", tiny)
    assert done.code == 0 and "no weights given" in done.err


def test_a_run_of_an_artefact_repeats_only_the_warning(cli, tiny, artefact):
    assert cli("run", artefact).err == "note: no input given: feeding random numbers\n"
    cli("compile", tiny)
    assert "no weights given" in cli("run", artefact).err


def test_same_numbers_from_both(cli, array, arrays):
    for net, more in (("tiny.gcz", ()), ("tiny.prototxt", ("-w", "tiny.caffemodel"))):
        assert cli("run", net, *more, array, "-o", f"{net}.npz").code == 0
    a, b = (arrays(f"{net}.npz")["prob"] for net in ("tiny.gcz", "tiny.prototxt"))
    assert a.shape == (2, 12) and a.dtype == np.float32
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "inputs", "expected"),
    [
        (["n.gcz"], [], ("n.gcz", [])),
        (["n.prototxt", "a.npy"], [], ("n.prototxt", ["a.npy"])),
        (["model", "a.npy"], ["b.npy"], ("model", ["b.npy", "a.npy"])),
        (["a.JPG", "b.jpg"], [], ("old.gcz", ["a.JPG", "b.jpg"])),
        ([], ["a.npy"], ("old.gcz", ["a.npy"])),
        ([], [], ("old.gcz", [])),
    ],
)
def test_splitting(tmp_path, arguments, inputs, expected):
    (tmp_path / "old.gcz").touch()
    net, files = split_arguments(arguments, inputs, tmp_path)
    assert (Path(net).name, files) == expected


def test_a_net_after_its_inputs(cli, array):
    done = cli("run", array, "tiny.gcz")
    assert done.code == 2 and "hint: name it first" in done.err


def test_json(cli, array):
    told = cli("run", "tiny.gcz", array, "--top", 3, "--json").json
    assert told["net"] == "tiny.gcz" and told["target"] == "cpu" and told["plan"]["peak_bytes"] > 0
    assert told["inputs"] == {"data": [2, 3, 8, 8]} and told["seconds"] > 0
    prob = told["outputs"]["prob"]
    assert prob["shape"] == [2, 12] and len(prob["samples"]) == 2
    assert prob["top"] == prob["samples"][0]["top"] and len(prob["top"]) == 3
    assert set(prob["top"][0]) == {"class", "label", "value"}
    values = [entry["value"] for entry in prob["top"]]
    assert values == sorted(values, reverse=True) and values[0] == pytest.approx(prob["max"], abs=1)


def test_images_make_a_batch(cli, image):
    done = cli("run", "tiny.gcz", "cat.png", "dog.png", "cat.png", "--top", 1)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "prob: 3x12"
    assert [line.strip() for line in lines[1:7:2]] == ["cat.png", "dog.png", "cat.png"]
    assert lines[2] == lines[6]
    told = cli("run", "--input", "data=cat.png", "--json").json["outputs"]["prob"]
    assert told["samples"][0]["input"] == "cat.png"


def test_preprocessing(cli, image, arrays):
    """--mean is in BGR order whatever is fed; --scale comes after it; --rgb turns the channels."""

    def fed(*args: object) -> np.ndarray:
        done = cli("run", "tiny.gcz", "cat.png", "--keep", "data", "-o", "o.npz", *args)
        assert done.code == 0, done.err
        data: np.ndarray = arrays("o.npz")["data"]
        return data

    plain = fed()
    mean = np.array([10, 20, 30], np.float32)[:, None, None]
    np.testing.assert_allclose(fed("--mean", "10,20,30", "--scale", "0.5"), (plain - mean) * 0.5)
    np.testing.assert_allclose(fed("--mean", "10,20,30", "--rgb"), (plain - mean)[:, ::-1])
    np.testing.assert_allclose(fed("--mean", "7"), plain - 7)
    picture = np.random.default_rng(0).uniform(90, 130, (3, 8, 8)).astype(np.float32)
    write_mean(Path("image.binaryproto"), picture)
    np.save("image.npy", picture)
    np.save("channels.npy", mean[:, 0, 0].astype(np.float64))
    for file in ("image.binaryproto", "image.npy"):
        np.testing.assert_allclose(fed("--mean", file), plain - picture, rtol=1e-5)
        turned = (plain - picture)[:, ::-1]
        np.testing.assert_allclose(fed("--mean", file, "--rgb"), turned, rtol=1e-5)
    np.testing.assert_allclose(fed("--mean", "channels.npy"), plain - mean)


def test_means_that_do_not_fit(cli, image):
    """The hint of one of another size is the option that would do."""
    np.save("large.npy", np.full((3, 9, 8), 5.0))
    write_mean(Path("grey.binaryproto"), np.ones((1, 8, 8), np.float32))
    np.save("flat.npy", np.ones((8, 8)))
    Path("broken.binaryproto").write_bytes(b"no message")
    cases = {
        "large.npy": (2, "--mean 5,5,5"),
        "grey.binaryproto": (2, "(1, 8, 8)"),
        "flat.npy": (3, "GC-D002"),
        "broken.binaryproto": (3, "GC-P002"),
        "none.npy": (7, "none.npy"),
    }
    for file, (code, text) in cases.items():
        done = cli("run", "tiny.gcz", "cat.png", "--mean", file)
        assert done.code == code and text in done.err, done.err


def test_labels(cli, image):
    Path("names.txt").write_text("".join(f"'name {i}'\n" for i in range(12)))
    done = cli("run", "cat.png", "--labels", "names.txt", "--top", 12)
    assert done.code == 0 and all(f"  name {i}\n" in done.out for i in range(12))
    assert "has 12 classes" not in done.err
    Path("few.txt").write_text("one\ntwo\n")
    done = cli("run", "cat.png", "--labels", "few.txt", "--top", 12)
    assert "note: 'prob' has 12 classes, but few.txt 2 names" in done.err
    assert "class 2\n" in done.out and "class 1    two\n" in done.out
    assert cli("run", "cat.png", "--labels", "fewer.txt").code == 7


def test_output_file(cli, array, arrays):
    done = cli("run", "tiny.gcz", array, "-o", "out.npz", "--keep", "conv")
    assert done.out.endswith("wrote out.npz\n")
    shapes = {name: saved.shape for name, saved in arrays("out.npz").items()}
    assert shapes == {"prob": (2, 12), "conv": (2, 4, 6, 6)}


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["-o", "out.txt"], 2, "write -o out.npz"),
        (["-o", "no/out.npz"], 7, "no folder 'no'"),
        (["two.npz", "-o", "two.npz"], 2, "would overwrite an input"),
        (["--gpu"], 6, "GC-X001: "),
        (["--gpu", "--target", "cpu"], 2, "--gpu and --target cpu exclude"),
        (["--gpu=one"], 2, "'one' is not a valid integer"),
        (["--mean", "a,b", "x.npy"], 2, "write --mean 104,117,123"),
        (["nothere.npy"], 7, "nothere.npy"),
        (["dta=x.npy"], 2, "did you mean 'data'"),
        (["two.npz"], 2, "'other' is no input of this net"),
        (["flat.npy"], 2, "shape (2, 2), expected (1, 3, 8, 8)"),
        (["deep.npy"], 2, "GC-R001"),
        (["words.npy"], 2, "not numbers"),
        (["notes.png"], 7, "GC-D001: 'notes.png'"),
        (["."], 7, "folder"),
        (["--keep", "nope"], 2, "`graphc inspect` lists"),
        (["-w", "tiny.caffemodel"], 2, "--weights was settled when it was compiled"),
        (["--phase", "TEST"], 2, "--phase was settled"),
        (["--seed", "1"], 2, "--seed was settled"),
        (["--no-strict-weights"], 2, "was settled"),
        (["--shape", "data=1x5x8x8"], 3, "GC-W001"),
    ],
)
def test_refusals(cli, array, tmp_path, args, code, text):
    np.savez("two.npz", data=np.zeros((1, 3, 8, 8)), other=1)
    np.save("flat.npy", np.zeros((2, 2)))
    np.save("deep.npy", np.zeros((1, 5, 8, 8)))
    np.save("words.npy", np.array([["a"]]))
    Path("notes.png").write_text("no picture")
    if "notes.png" in args:
        pytest.importorskip("PIL")
    done = cli("run", "tiny.gcz", *args)
    assert (done.code, done.out) == (code, ""), done.err
    assert text in done.err


def test_gpu_takes_no_value_from_the_next_word(cli, artefact):
    assert "GC-X001" in cli("run", "--gpu", artefact).err


def test_shape_and_batch_of_an_artefact(cli, artefact):
    assert cli("run", artefact, "--batch", 4, "--json").json["inputs"] == {"data": [4, 3, 8, 8]}
    told = cli("run", artefact, "--shape", "data=2x3x8x8", "--keep", "conv", "--json").json
    assert told["outputs"]["conv"]["shape"] == [2, 4, 6, 6]


def test_strict_limits_reach_images(cli, image, monkeypatch):
    from graphc.limits import Limits

    monkeypatch.setattr(Limits, "strict", staticmethod(lambda: Limits(image_pixels=100)))
    done = cli("run", "tiny.gcz", image, "--strict")
    assert done.code == 8 and "image_pixels" in done.err
    assert cli("run", "tiny.gcz", image).code == 0


USER_LAYER = '''from dataclasses import dataclass
from graphc.ops.spec import Grad, OpSpec, Sample


@dataclass(frozen=True)
class TripleCliAttrs:
    times: float = 3.0


class TripleCli(OpSpec):
    """y = times * x."""

    type, param_field = "TripleCli", "triple_cli_param"
    Attrs = TripleCliAttrs

    @staticmethod
    def infer(a, s):
        return {"y": s.ins["x"]}

    @staticmethod
    def grads(a, s):
        return (Grad("x", reads=("dy",)),)

    @staticmethod
    def reference(a, v, ctx):
        return {"y": a.times * v["x"]}

    @staticmethod
    def vjp(a, part, v, ctx):
        return a.times * v["dy"]

    samples = (Sample(((2, 3),)),)
'''
USER_NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "t" type: "TripleCli" bottom: "x" top: "y" triple_cli_param { times: 2 } }
"""


def test_a_layer_of_the_users(tmp_path):
    """In processes of their own: the registry keeps what it has seen."""
    import subprocess
    import sys

    (tmp_path / "triple.py").write_text(USER_LAYER)
    (tmp_path / "net.prototxt").write_text(USER_NET)
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))

    def graphc(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "graphc", *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert "GC-P001" in graphc("compile", "net.prototxt").stderr
    assert graphc("compile", "net.prototxt", "--ops", "triple.py").returncode == 0
    without = graphc("run", "net.gcz", "x.npy")
    assert without.returncode == 3
    assert "GC-N001: unknown layer type 'TripleCli'" in without.stderr and "--ops" in without.stderr
    done = graphc("run", "net.gcz", "x.npy", "--ops", "triple.py")
    assert done.returncode == 0 and "sample 0: 2  2  2" in done.stdout
    listed = graphc("ops", "TripleCli", "--ops", "triple.py")
    assert "triple_cli_param" in listed.stdout and "dx reads dy" in listed.stdout


def test_labels_without_a_file():
    assert Labels.read(None).of(3) == ""


def shown(array: np.ndarray, capsys: pytest.CaptureFixture[str], **words: object) -> str:
    values = array.astype(np.float32)
    show("y", describe("y", values, Labels(), 5, []), values)
    return capsys.readouterr().out


def test_how_outputs_are_shown(capsys):
    assert shown(np.array(2.5), capsys) == "y: 2.5\n"
    assert shown(np.array([[3.0]]), capsys) == "y: 3\n"
    assert shown(np.zeros((0, 4)), capsys) == "y: 0x4\n"
    assert shown(np.array([1.0, 2, 6]), capsys) == "y: 3\n  min 1  mean 3  max 6\n"
    assert shown(np.array([[1.0, -2]]), capsys) == "y: 1x2\n  1  -2\n"
    ranked = "y: 1x2\n     0.75000  class 1\n     0.25000  class 0\n"
    assert shown(np.array([[0.25, 0.75]]), capsys) == ranked
    assert "nan" in shown(np.full((2, 3, 4), np.nan), capsys)
    assert "1.000e+30  class 11\n" in shown(np.array([[1.0] * 11 + [1e30]]), capsys)


def test_a_net_without_outputs(cli, tmp_path):
    text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    (tmp_path / "n.prototxt").write_text(text + 'layer { name: "s" type: "Silence" bottom: "x" }')
    assert cli("run", "n.prototxt").out.startswith("the network has no outputs\n")
