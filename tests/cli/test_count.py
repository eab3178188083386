"""graphc count against the table of models/README.md, and what counts as what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphc.cli.count_verb import flop_text

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\S+) \| [\dx]+ \| \d+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", re.M)
TABLE = {name: numbers for name, *numbers in ROW.findall((ROOT / "models/README.md").read_text())}
GFLOP = {
    "alexnet": "1.449 GFLOP",
    "googlenet": "3.165 GFLOP",
    "resnet50": "7.716 GFLOP",
    "squeezenet_v1.1": "0.775 GFLOP",
    "mobilenet_v1": "1.137 GFLOP",
    "vgg16": "30.94 GFLOP",
}


def total(out: str) -> list[str]:
    """MACs, params and activations in the line of sums."""
    return next(line for line in out.splitlines() if line.startswith("total")).split()[2:]


@pytest.mark.parametrize("name", TABLE)
def test_models(cli, name):
    net = ROOT / "models" / name / "deploy.prototxt"
    macs, plain, with_bn = TABLE[name]
    out = cli("count", net).out
    assert total(out)[:2] == [macs, plain]
    assert total(cli("count", net, "--with-bn").out)[:2] == [macs, with_bn]
    assert GFLOP.get(name, "FLOP") in out


def test_the_table_has_every_model():
    assert set(TABLE) == {p.name for p in (ROOT / "models").iterdir() if p.is_dir()}
    assert set(GFLOP) < set(TABLE)


def test_text(cli, tiny):
    assert cli("count", tiny).out.splitlines() == [
        "type          layers   MACs  params  activations",
        "Input              1      0       0          192",
        "Convolution        1  3,888     112          144",
        "BatchNorm          1      0       0          144",
        "Scale              1      0       0          144",
        "ReLU               1      0       0          144",
        "Dropout            1      0       0          144",
        "InnerProduct       1  1,728   1,740           12",
        "Softmax            1      0       0           12",
        "total              8  5,616   1,852          936",
        "per sample, batch 1; 2 x MACs = 0.011 MFLOP",
        "8 parameters of layers that scale: --with-bn adds them",
    ]


def test_with_bn_counts_factors_and_what_they_scale(cli, tiny):
    told = cli("count", tiny, "--with-bn", "--json").json
    assert told["params"] == 1_860 and told["uncounted_params"] == 0
    assert told["scalings"] == 2 * 144 and told["types"]["BatchNorm"]["scalings"] == 144
    assert cli("count", tiny, "--json").json["uncounted_params"] == 8


def test_layers(cli, tiny):
    lines = cli("count", tiny, "--layers").out.splitlines()
    assert lines[0].split() == ["layer", "type", "MACs", "params", "activations"]
    assert lines[2].split() == ["conv", "Convolution", "3,888", "112", "144"]
    told = cli("count", tiny, "--json").json
    assert [row["name"] for row in told["layers"]][:2] == ["in", "conv"]
    for key in ("macs", "params", "activations"):
        assert told[key] == sum(row[key] for row in told["layers"])
        assert told[key] == sum(row[key] for row in told["types"].values())


def test_counts_are_per_sample(cli, tiny, artefact):
    one = total(cli("count", tiny).out)
    done = cli("count", tiny, "--batch", 6)
    assert total(done.out) == one and "batch 6;" in done.out
    compiled = cli("count", artefact, "--batch", 6, "--json").json
    assert (
        compiled["macs"] == 5_616 and compiled["batch"] == 6 and "Dropout" not in compiled["types"]
    )


SHARED = """layer { name: "in" type: "Input" top: "a" top: "b"
  input_param { shape { dim: 2 dim: 3 } } }
layer { name: "x" type: "InnerProduct" bottom: "a" top: "x" param { name: "w" } param { name: "v" }
  inner_product_param { num_output: 4 } }
layer { name: "y" type: "InnerProduct" bottom: "b" top: "y" param { name: "w" } param { name: "v" }
  inner_product_param { num_output: 4 } }
layer { name: "p" type: "PReLU" bottom: "y" top: "y" }
layer { name: "e" type: "Embed" bottom: "index" top: "e"
  embed_param { input_dim: 7 num_output: 2 } }
"""


def test_shared_parameters_count_once_and_slopes_are_factors(cli, tmp_path):
    index = 'layer { name: "i" type: "Input" top: "index" input_param { shape { dim: 2 } } }\n'
    (tmp_path / "s.prototxt").write_text(index + SHARED)
    told = cli("count", "s.prototxt", "--json").json
    params = {row["name"]: row["params"] for row in told["layers"]}
    assert params == {"i": 0, "in": 0, "x": 16, "y": 0, "p": 0, "e": 16}
    assert told["uncounted_params"] == 4 and told["macs"] == 24


DATA = """layer { name: "d" type: "Data" top: "data" top: "label"
  data_param { source: "none" batch_size: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 10 } }
"""


def test_the_batch_of_a_data_layer(cli, tmp_path):
    (tmp_path / "d.prototxt").write_text(DATA)
    told = cli(
        "count", "d.prototxt", "--shape", "data=64x1x28x28", "--shape", "label=64", "--json"
    ).json
    assert (told["batch"], told["macs"]) == (64, 7_840)


@pytest.mark.parametrize(
    ("macs", "text"),
    [
        (0, "0.000 MFLOP"),
        (2_293_000, "4.586 MFLOP"),
        (40_551_040, "81.10 MFLOP"),
        (387_747_520, "0.775 GFLOP"),
        (11_282_415_616, "22.56 GFLOP"),
        (10**12, "2,000.00 GFLOP"),
    ],
)
def test_flop(macs, text):
    assert flop_text(macs) == text
