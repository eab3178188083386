"""Upgraded nets, legacy and HDF5 weight files, and fillers, as real Caffe left them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from golden.caffe_cases import names, ratio, read_case

import graphc
from graphc.front.net import definition
from graphc.front.upgrade import upgrade
from graphc.ir.op import Filler, Param
from graphc.ir.text import print_graph
from graphc.ops.fillers import fill

UPGRADED = names("extras", ".upgraded.prototxt")
LEGACY = names("extras", ".legacy.caffemodel")
HDF5 = names("extras", ".caffemodel.h5")


def test_nothing_is_left_out() -> None:
    assert UPGRADED == [
        "net_bn_three_params_legacy",
        "net_input_dim_legacy",
        "net_v0",
        "net_v1",
    ]
    assert LEGACY == ["net_v0", "net_v1"]
    assert HDF5 == ["net_inplace_chain", "net_shared_weights", "net_small_cnn_train"]


def load_as_golden(folder: Path, name: str, weights: Path | None = None) -> graphc.Graph:
    meta = read_case(folder / f"{name}.npz").meta
    return graphc.load(
        folder / f"{name}.prototxt",
        weights,
        phase=meta["phase"],
        level=meta["level"],
        stages=tuple(meta["stages"]),
    )


@pytest.mark.parametrize("name", UPGRADED)
def test_upgrade_gives_the_same_graph(name: str, caffe: Path) -> None:
    old = load_as_golden(caffe / "layers", name)
    new = graphc.load(caffe / "extras" / f"{name}.upgraded.prototxt", phase=old.phase)
    assert print_graph(old, places=False) == print_graph(new, places=False)


@pytest.mark.parametrize("name", UPGRADED)
def test_upgrade_gives_the_same_message(name: str, caffe: Path) -> None:
    """The definition as Caffe's own tool rewrote it: equal messages."""
    ours = definition((caffe / "layers" / f"{name}.prototxt").read_text())
    upgrade(ours)
    theirs = definition((caffe / "extras" / f"{name}.upgraded.prototxt").read_text())
    assert ours.net == theirs.net


def check_outputs(folder: Path, name: str, weights: Path) -> None:
    """The net with `weights` gives what the golden says of its own caffemodel."""
    case = read_case(folder / f"{name}.npz")
    net = load_as_golden(folder, name, weights)
    for key, caffe in case.under("w/"):
        layer, _, index = key.rpartition("/")
        assert np.array_equal(net.params[layer][int(index)], caffe), key
    exe = graphc.compile(net, passes=(), keep="all")
    tops = exe.forward(dict(case.under("in/")))
    for blob, caffe in case.under("out/"):
        ours = tops[case.split_from.get(blob, blob)]
        assert ratio(ours, caffe, case.meta["rtol"], case.meta["atol"]) <= 1, blob


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_weights(name: str, caffe: Path) -> None:
    check_outputs(caffe / "layers", name, caffe / "extras" / f"{name}.legacy.caffemodel")


@pytest.mark.parametrize("name", HDF5)
def test_hdf5_weights(name: str, caffe: Path) -> None:
    pytest.importorskip("h5py")
    check_outputs(caffe / "layers", name, caffe / "extras" / f"{name}.caffemodel.h5")


def parse_filler(text: str) -> Filler:
    """'type: "gaussian" std: 0.3' as a Filler."""
    found: dict[str, str | float | int] = {}
    for key, quoted, plain in re.findall(r'(\w+): (?:"(\w+)"|(\S+))', text):
        is_number = re.fullmatch(r"[-\d.]+", plain)
        found[key] = quoted or (float(plain) if is_number else plain)
    if "sparse" in found:
        found["sparse"] = int(found["sparse"])
    return Filler(**found)  # type: ignore[arg-type]


def test_filler_moments(caffe: Path) -> None:
    """Mean, spread, bounds, zeros: as far apart as two random streams may be."""
    for index, entry in enumerate(json.loads((caffe / "extras" / "fillers.json").read_text())):
        filler, shape = parse_filler(entry["filler"]), tuple(entry["shape"])
        values = fill(Param("w", shape, filler), seed=3, layer="test", index=index)
        told, count, spread = entry["filler"], values.size, entry["std"]
        assert values.shape == shape and values.dtype == np.float32
        assert abs(values.mean() - entry["mean"]) <= 6 * spread / np.sqrt(count) + 1e-6, told
        sparse = entry["zero_fraction"] if spread else 0
        loose = 0.04 if sparse == 0 else 0.15
        assert abs(values.std(dtype=np.float64) - spread) <= loose * spread + 1e-6, told
        assert abs((values == 0).mean() - entry["zero_fraction"]) <= 0.02, told
        low, high = entry["min"], entry["max"]
        if filler.type != "gaussian" and filler.type != "msra":
            slack = 0.03 * (high - low) + 1e-6
            assert abs(values.min() - low) <= slack and abs(values.max() - high) <= slack, told
        if "row_sums_minmax" in entry:
            sums = values.reshape(shape[0], -1).sum(1, dtype=np.float64)
            assert np.allclose(sums, 1, atol=1e-5), told


def test_bilinear_filler_is_exact(caffe: Path) -> None:
    with np.load(caffe / "extras" / "bilinear.npz", allow_pickle=False) as file:
        kernels = {key: file[key] for key in file.files}
    assert kernels
    for key, expected in kernels.items():
        param = Param("w", expected.shape, Filler("bilinear"))
        values = fill(param, seed=0, layer="test", index=0)
        assert np.allclose(values, expected, rtol=0, atol=1e-6), key
