"""graphc sensitivity, and compile with calibration inputs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

X = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3])


@pytest.fixture
def calibration(cli):
    np.savez("some.npz", data=X, label=LABELS)
    return "some.npz"


def test_a_table(cli, tiny, calibration):
    args = ("sensitivity", tiny, "-w", "tiny.caffemodel", "--calibration", calibration)
    done = cli(*args, "--points", 2)
    assert done.code == 0, done.err
    head, *rows, last = done.out.splitlines()
    assert head.split("  ")[0] == "layer" and "output error" in head and "accuracy" in head
    assert [row.split()[:2] for row in rows] == [
        ["conv", "2"],
        ["conv", "1"],
        ["fc", "8"],
        ["fc", "4"],
    ]
    assert re.fullmatch(r"accuracy of the network as it is: 0\.\d+|.*: 1\.0000", last)


def test_json_and_a_page(cli, tiny, calibration):
    args = ("sensitivity", tiny, "-w", "tiny.caffemodel", "--calibration", calibration)
    told = cli(*args, "--points", 3, "--chart", "page.html", "--json").json
    assert told["option"] == "rank" and list(told["layers"]) == ["conv", "fc"]
    page = Path("page.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [figure[0][0] for figure in data] == ["conv", "conv"]  # output error, accuracy
    errors = [point["error"] for point in told["layers"]["conv"]]
    assert data[0][0][2] == pytest.approx(errors[::-1], rel=1e-4)
    assert "Output error by rank" in page and "Share right by rank" in page


def test_images_or_noise_in_place_of_calibration(cli, tiny):
    np.save("x.npy", X)
    done = cli(
        "sensitivity", tiny, "--input", "x.npy", "--points", 1, "--pass", "low_rank:layers=fc"
    )
    assert done.code == 0 and done.out.splitlines()[1].split()[0] == "fc"
    assert "accuracy" not in done.out
    done = cli("sensitivity", tiny, "--points", 1)
    assert "feeding random numbers" in done.err
    done = cli("sensitivity", tiny, "--input", "x.npy", "--calibration", "x.npy")
    assert done.code == 2 and "--input contradicts --calibration" in done.err


def test_nothing_to_do(cli):
    Path("relu.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }\n'
        'layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }\n'
    )
    done = cli("sensitivity", "relu.prototxt")
    assert done.out == "low_rank can do nothing to this network\n"


def test_errors(cli, tiny):
    assert "has no strength" in cli("sensitivity", tiny, "--pass", "fold_scale").err
    np.savez("odd.npz", data=X, dta=X)
    done = cli("sensitivity", tiny, "--calibration", "odd.npz")
    assert done.code == 2 and "'dta' is no input of this net" in done.err
    assert cli("sensitivity", tiny, "--calibration", "none.npz").code == 7


def test_compile_measures_on_calibration_inputs(cli, tiny, calibration):
    """Responses need them, and accuracy their labels."""
    spec = "low_rank:response=relu,rank=2,layers=conv,when=always"
    args = ("compile", tiny, "-w", "tiny.caffemodel", "--pass")
    done = cli(*args, spec)
    assert done.code == 2 and "needs calibration inputs" in done.err
    done = cli(*args, spec, "--calibration", calibration)
    assert done.code == 0 and "conv becomes conv_lowrank, conv_linear" in done.out
    assert "response error" in done.out and "response, rank 2 of 4" in done.out
    done = cli(*args, "low_rank:accuracy_drop=0.5,when=always", "--calibration", calibration)
    assert done.code == 0, done.err
    np.save("x.npy", X)
    done = cli(*args, "low_rank:accuracy_drop=0.5", "--calibration", "x.npy")
    assert done.code == 2 and "and their labels" in done.err
    np.savez("odd.npz", data=X[:, :2])
    done = cli(*args, spec, "--calibration", "odd.npz")
    assert done.code == 2 and "GC-R001" in done.err


def test_values_after_a_comma_are_more_of_an_option(cli, tiny):
    done = cli("compile", tiny, "--pass", "low_rank:rank=2,3,layers=conv,fc,when=always")
    assert "pca, rank 2 of 4" in done.out and "pca, rank 3 of 12" in done.out
