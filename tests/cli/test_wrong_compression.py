"""Compression asked for wrongly: each case is told with what to do, and no file is touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from texts import conv, fc, feed, layer

import graphc
from graphc.front.weights import write_weights

NET = (
    feed(data=(2, 4, 9, 8))
    + conv("data", "a", 12)
    + layer("ReLU", "a", "a", name="relu")
    + layer("Convolution", "a", "b", "convolution_param { num_output: 16 kernel_size: 3 group: 2 "
            'weight_filler { type: "xavier" } }')
    + fc("b", "y", 10)
    + layer("Softmax", "y", "prob")
)  # fmt: skip
X = np.random.default_rng(0).standard_normal((8, 4, 9, 8)).astype(np.float32)
ARRAYS = {
    "wrong": {"data": X[:, :3]},
    "plain": {"data": X},
    "other": {"x": X},
    "short": {"data": X, "label": np.arange(3)},
    "high": {"data": X, "label": np.full(8, 99)},
}
RECIPES = {
    "key": '[[pass]]\nname = "low_rank"\nrnk = 3\n',
    "type": '[[pass]]\nname = "low_rank"\nrank = "x"\n',
    "table": '[[passes]]\nname = "low_rank"\n',
    "order": '[[pass]]\nname = "merge_low_rank"\n[[pass]]\nname = "prune_ranks"\n',
}

CASES: list[tuple[str, int, str, str]] = [
    # what is asked for, the exit code, the message, the hint
    ("low_rank:rank=99", 2, "rank 99 of 'a' is above its full rank, 12", "at most 12"),
    ("low_rank:rank=0", 2, "rank is 0, expected", "error=0.05"),
    ("low_rank:rank=-4", 2, "rank is -4, expected", "error=0.05"),
    ("low_rank:rank=x", 2, "rank is 'x', expected values, each a whole number", ""),
    ("low_rank:macs=0.001", 2, "macs=0.001 cannot be reached", "the least reachable"),
    ("low_rank:config=layer.json", 2, "layer.json: 'conv9' names no layer", "there are a, b, y"),
    ("low_rank:config=nowhere.json", 7, "cannot read 'nowhere.json'", ""),
    ("low_rank:method=cp,layers=b,rank=2", 2, "method cp takes no groups", "split_groups"),
    ("low_rank:method=tuker", 2, "expected one of pca, svd", "did you mean 'tucker'"),
    ("remove_filters:layers=y,ratio=0.5", 2, "no filter of 'y' can go", "leave it out"),
    ("remove_filters:layers=q,ratio=0.5", 2, "no layer 'q' with filters", "there are a, b, y"),
    ("remove_filters:macs=0.001", 2, "is the least", "what stays: y"),
    ("compensate:ratio=0.5", 2, "needs calibration inputs", "--calibration"),
    ("compensate:ratio=0.5 wrong", 2, "input 'data' has shape (8, 3, 9, 8)", "layer 'a'"),
    ("compensate:ratio=0.5 other", 2, "'x' is no input", "its inputs: data"),
    ("compensate:ratio=0.5 garbage", 7, "it is none, or holds Python objects", ""),
    ("low_rank:accuracy_drop=0.1 plain", 2, "their labels", "an array 'label'"),
    ("low_rank:accuracy_drop=0.1 short", 2, "3 labels are given for 8 samples", ""),
    ("low_rank:accuracy_drop=0.1 high", 2, "beyond the 10 classes", ""),
    ("--recipe key.toml", 2, "key.toml: pass 'low_rank' has no option 'rnk'", "'rank'"),
    ("--recipe type.toml", 2, "type.toml: pass 'low_rank': rank is 'x'", ""),
    ("--recipe table.toml", 2, "table.toml: 'passes' means nothing here", "'pass'"),
    ("--recipe order.toml", 2, "no layer of this net is decomposed", "run low_rank first"),
    ("low_rank --max-error nan", 2, "max_error is nan", "from 0 on"),
    ("low_rank:rank=2 -w nan.safetensors", 2, "weight of 'b' has elements", "skip="),
    ("remove_filters:ratio=0.5 -w nan.safetensors", 2, "'b:weight' has elements", "broken"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    net = graphc.load("net.prototxt")
    write_weights(net, Path("net.safetensors"))
    net.params["b"][0][0, 0, 0, 0] = np.nan
    write_weights(net, Path("nan.safetensors"))
    for name, arrays in ARRAYS.items():
        np.savez(f"{name}.npz", **arrays)
    for name, text in RECIPES.items():
        Path(f"{name}.toml").write_text(text)
    Path("layer.json").write_text('{"conv9": 3}')
    Path("garbage.npz").write_bytes(b"\0\1garbage")
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def words(asked: str) -> list[str]:
    first, *rest = asked.split()
    found = ["--pass", first] if not first.startswith("-") else [first]
    if rest and rest[0] in (*ARRAYS, "garbage"):
        rest = ["--calibration", f"{rest[0]}.npz"]
    return [*found, *rest] if "-w" in rest else [*found, *rest, "-w", "net.safetensors"]


def test_each_is_told(folder: Path, cli) -> None:
    before = digests(folder)
    for asked, code, message, hint in CASES:
        done = cli("compile", "net.prototxt", "-o", "net.gcz", *words(asked))
        assert done.code == code, (asked, done.err)
        head, _, after = done.err.partition("hint:")
        assert message in head and hint in after, (asked, done.err)
    assert digests(folder) == before


def test_a_recipe_without_a_pass(folder: Path, cli) -> None:
    Path("empty.toml").write_text("")
    done = cli(
        "compile",
        "net.prototxt",
        "-w",
        "net.safetensors",
        "-o",
        "net.gcz",
        "--recipe",
        "empty.toml",
    )
    assert done.code == 0 and "note: empty.toml has no [[pass]]" in done.err


def test_without_weights_it_is_told(folder: Path, cli) -> None:
    done = cli("compile", "net.prototxt", "-o", "net.gcz", "--pass", "low_rank:rank=4,when=always")
    assert done.code == 0 and "no weights given" in done.err


def test_what_was_read_is_not_written_over(folder: Path, cli) -> None:
    before = digests(folder)
    for prefix in ("net", "net.prototxt", "./net.caffemodel"):
        done = cli("export", "net.prototxt", "-w", "net.safetensors", "-o", prefix)
        assert done.code == 7 and "GC-F002" in done.err and "it was read" in done.err
    with pytest.raises(graphc.GraphError, match="it was read"):
        graphc.export("net.prototxt", "net")
    assert digests(folder) == before
    done = cli("export", "net.prototxt", "-w", "net.safetensors", "-o", "small.prototxt", "--json")
    assert done.json == {"files": ["small.prototxt", "small.caffemodel"]}
