"""graphc compare: who differs, where first, and the exit code."""

from __future__ import annotations

import numpy as np
import pytest

import graphc
from graphc.front.weights import write_weights


@pytest.fixture
def other(tiny, tmp_path):
    """Weights of tiny, but for fc, whose weights are twice as large."""
    graph = graphc.load(tiny, "tiny.caffemodel")
    graph.params["fc"][0][...] *= 2
    write_weights(graph, tmp_path / "other.caffemodel")
    return "other.caffemodel"


def test_a_net_on_two_targets(cli, tiny):
    done = cli("compare", tiny, "-w", "tiny.caffemodel")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:4] == ["A: tiny on cpu", "B: tiny on reference", "on random input", ""]
    assert lines[4].split() == [
        "blob", "type", "shape", "max", "|a-b|", "of", "max", "|b|", "rms", "at", "a", "b",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[5:9]] == ["conv", "drop", "fc", "prob"]
    assert lines[5].split()[1:3] == ["ReLU", "1x4x6x6"]
    assert lines[-1].startswith("4 blobs agree within 0.0001 of max |b|, at most ")


def test_the_first_layer_that_differs(cli, tiny, other):
    done = cli("compare", tiny, tiny, "-w", "tiny.caffemodel", "--weights-b", other)
    assert done.code == 1
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if "<- different" in line] == ["fc"]
    assert lines[-2] == "1 of 4 blobs differ by more than 0.0001 of max |b|"
    assert lines[-1] == "first at layer 'fc' (InnerProduct), blob 'fc'"
    words = ("--weights-b", other, "--tolerance", "10")
    assert cli("compare", tiny, tiny, "-w", "tiny.caffemodel", *words).code == 0


def test_a_chain_in_place_is_named(cli, tiny, tmp_path):
    graph = graphc.load(tiny, "tiny.caffemodel")
    graph.params["scale"][1][...] += 1
    write_weights(graph, tmp_path / "shifted.caffemodel")
    done = cli("compare", tiny, tiny, "-w", "tiny.caffemodel", "--weights-b", "shifted.caffemodel")
    assert done.code == 1
    assert done.out.splitlines()[-1] == (
        "first at layer 'relu' (ReLU), blob 'conv', made in place by conv, bn, scale, relu"
    )


def test_json(cli, tiny, other):
    words = ("-w", "tiny.caffemodel", "--weights-b", other, "--json")
    done = cli("compare", tiny, tiny, *words)
    told = done.json
    assert (done.code, told["ok"], told["first"]) == (1, False, "fc")
    assert (told["a"], told["b"], told["input"]) == ("tiny on cpu", "tiny on cpu", "random")
    blobs = {blob["blob"]: blob for blob in told["blobs"]}
    assert list(blobs) == ["conv", "drop", "fc", "prob"]
    assert blobs["conv"]["verdict"] == "equal" and blobs["conv"]["max_abs"] == 0
    assert blobs["conv"]["layers"] == ["conv", "bn", "scale", "relu"]
    fc = blobs["fc"]
    assert (fc["verdict"], fc["layer"], fc["type"]) == ("different", "fc", "InnerProduct")
    assert fc["max_abs"] == pytest.approx(abs(fc["a"] - fc["b"]))
    assert fc["shape"] == [1, 12] and len(fc["index"]) == 2


def test_weights_of_a_serve_b_too(cli, tiny, other):
    """Without --weights-b, -w is for both; else both would not be alike."""
    assert cli("compare", tiny, tiny, "-w", other, "--tolerance", "0").code == 0
    assert cli("compare", tiny, tiny, "--weights-b", other).code == 1


def test_artefacts(cli, tiny, artefact, other):
    done = cli("compare", tiny, artefact, "-w", "tiny.caffemodel")
    assert done.code == 0, done.err
    assert "only in A: drop" in done.out
    assert cli("compare", artefact, tiny, "-w", "tiny.caffemodel").code == 0
    assert cli("compare", artefact, tiny, "-w", other).code == 1
    assert cli("compare", artefact).code == 0
    done = cli("compare", artefact, artefact, "-w", other)
    assert done.code == 2 and "GC-R003" in done.err and "--weights" in done.err
    assert cli("compare", artefact, "--seed", "3").code == 2


def test_targets(cli, tiny):
    told = cli("compare", tiny, "--target-a", "reference", "--json").json
    assert (told["a"], told["b"]) == ("tiny on reference", "tiny on reference")
    assert all(blob["verdict"] == "equal" for blob in told["blobs"])
    told = cli("compare", tiny, tiny, "--target-b", "reference", "--json").json
    assert (told["a"], told["b"]) == ("tiny on cpu", "tiny on reference")
    assert cli("compare", tiny, "--target-a", "abacus").code == 2
    assert cli("compare", tiny, "--target-b", "cuda").code == 6


def test_unfused(cli, tiny):
    blobs = [cli("compare", tiny, *w, "--json").json["blobs"] for w in ((), ("--unfused",))]
    assert len(blobs[0]) <= len(blobs[1])


def test_blobs_in_a_file(cli, tiny, tmp_path):
    np.save(tmp_path / "x.npy", np.full((1, 3, 8, 8), 0.5, np.float32))
    run = cli("run", tiny, "x.npy", "--keep", "all", "--target", "reference", "-o", "blobs.npz")
    assert run.code == 0, run.err
    done = cli("compare", tiny, "blobs.npz", "--input", "x.npy")
    assert done.code == 0, done.out + done.err
    assert "B: blobs.npz" in done.out and "on the input given" in done.out
    with np.load(tmp_path / "blobs.npz") as file:
        stored = dict(file)
    np.savez(tmp_path / "fed.npz", **stored | {"data": np.full((1, 3, 8, 8), 0.5)})
    done = cli("compare", tiny, "fed.npz")
    assert done.code == 0 and "on the input that B's file holds" in done.out
    assert "random" not in done.err
    stored["fc"][0, 3] = np.nan
    np.savez(tmp_path / "nan.npz", **stored)
    done = cli("compare", tiny, "nan.npz", "--input", "x.npy")
    assert done.code == 1 and "first at layer 'fc' (InnerProduct)" in done.out
    (row,) = (line for line in done.out.splitlines() if line.startswith("fc "))
    assert "0,3" in row and row.endswith("nan  <- NaN")
    told = cli("compare", tiny, "nan.npz", "--input", "x.npy", "--json").json
    assert {blob["blob"]: blob["b"] for blob in told["blobs"]}["fc"] == "nan"
    stored["fc"] = stored["fc"][:, :5]
    np.savez(tmp_path / "short.npz", **stored)
    done = cli("compare", tiny, "short.npz", "--input", "x.npy")
    assert done.code == 1 and "1x12 and 1x5" in done.out and "<- shapes differ" in done.out


def test_bad_files_of_blobs(cli, tiny, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    np.savez(tmp_path / "empty.npz")
    done = cli("compare", tiny, "empty.npz", "--input", "x.npy")
    assert done.code == 2 and "have no blob in common: A makes conv" in done.err
    assert "B nothing" in done.err
    np.savez(tmp_path / "blobs.npz", fc=np.zeros((1, 12)))
    done = cli("compare", tiny, "blobs.npz")
    assert done.code == 2 and "input 'data'" in done.err
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04nonsense")
    assert cli("compare", tiny, "bad.npz", "--input", "x.npy").code == 7
    assert cli("compare", tiny, "nowhere.npz").code == 7
    np.savez(tmp_path / "words.npz", fc=np.array(["a"]))
    assert cli("compare", tiny, "words.npz", "--input", "x.npy").code == 2
    done = cli("compare", tiny, "blobs.npz", "--target-b", "cpu")
    assert done.code == 2 and "no target" in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--tolerance", "-1"), "'-1' is no tolerance"),
        (("--tolerance", "nan"), "'nan' is no tolerance"),
        (("--tolerance", "little"), "'little' is no tolerance"),
        (("--input", "no=x.npy"), "'no'"),
        (("tiny.prototxt", "third.prototxt"), "unexpected extra argument"),
        (("--weights-b", "tiny.caffemodel"), "--weights-b is for a prototxt B"),
        (("b.npz", "--weights-b", "tiny.caffemodel"), "--weights-b is for a prototxt B"),
        (("b.gcz", "--weights-b", "tiny.caffemodel"), "--weights-b is for a prototxt B"),
    ],
)
def test_bad_options(cli, tiny, args, message):
    done = cli("compare", tiny, *args)
    assert done.code == 2 and message in done.err


def test_blobs_come_second(cli, tiny):
    done = cli("compare", "blobs.npz", tiny)
    assert done.code == 2 and "A must be a network" in done.err


def test_weights_that_do_not_fit(cli, tiny, tmp_path):
    text = tiny.read_text().replace("num_output: 12", "num_output: 7")
    (tmp_path / "seven.prototxt").write_text(text)
    done = cli("compare", tiny, "seven.prototxt", "-w", "tiny.caffemodel")
    assert done.code == 3 and "GC-W001" in done.err
    done = cli("compare", tiny, "seven.prototxt")
    assert done.code == 1 and "1x12 and 1x7" in done.out
    assert cli("compare", "nowhere.prototxt").code == 7
