"""Gates behind all convolutions and normalizations of known networks, merged: the same logits.

Small networks; GRAPHC_GOLDEN_NETS=all adds the others.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from passes.networks import Network, read
from passes.test_low_rank_networks import IS_ALL, SMALL
from passes.test_networks import (
    CPU,
    OURS,
    PUBLISHED,
    REFERENCE,
    ZOO,
    check_export,
    far,
    open_published,
    run,
)
from texts import graph, layer

import graphc
from graphc.front.export import to_prototxt

GATED = {"Convolution", "BatchNorm", "Scale"}


def gated(network: Network) -> Network:
    """The network with a Gate behind each such layer, of values from 0.5 to 1.5; its weights."""
    text = re.sub(r"^#.*\n", "", to_prototxt(network.graph), flags=re.M)
    made = []
    for piece in re.split(r"(?m)^(?=layer \{)", text):
        made.append(piece)
        kind, name, blob = (
            re.search(rf'^  {key}: "(.*)"', piece, re.M) for key in ("type", "name", "top")
        )
        if kind and kind[1] in GATED:
            assert name and blob
            made.append(layer("Gate", blob[1], blob[1], name=f"{name[1]}/gate"))
    net, rng = graph("".join(made)), np.random.default_rng(11)
    for value in net.param_values():
        shape = value.type.shape if value.type else ()
        if value.name.endswith("/gate:weight"):
            net.weights[value.name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif not value.name.endswith("/gate:mask"):
            net.weights[value.name] = network.graph.weights[value.name]
    return Network(net, network.feeds)


def check(network: Network, folder: Path) -> None:
    planted = gated(network)
    before = [node.op.type for node in planted.graph.nodes]
    less, _ = graphc.optimize(planted.graph, ["merge_gates"], keep=planted.logits, measure=False)
    after = [node.op.type for node in less.nodes]
    gone = {"Gate", "BatchNorm", "Scale"}
    assert before.count("Gate") == sum(kind in GATED for kind in before) > 0
    assert after == [kind for kind in before if kind not in gone]
    plain, fast = run(planted.graph, planted), run(less, planted, "cpu")
    assert far(run(less, planted), plain) <= REFERENCE
    assert far(fast, plain) <= CPU
    assert far(plain, run(network.graph, network)) > 0.01  # gates matter
    check_export(less, planted, fast, folder)


@pytest.mark.parametrize("name", [n for n in PUBLISHED if IS_ALL or n in SMALL])
def test_published_weights(name: str, shared: Path, tmp_path: Path) -> None:
    check(open_published(name, shared), tmp_path)


@pytest.mark.parametrize("name", [n for n in ZOO if IS_ALL or n in SMALL])
def test_zoo(name: str, shared: Path, tmp_path: Path) -> None:
    check(read(shared / "zoo" / f"{ZOO[name]}.prototxt"), tmp_path)


@pytest.mark.parametrize("name", [n for n in OURS if IS_ALL or n in SMALL])
def test_ours(name: str, root: Path, tmp_path: Path) -> None:
    path = root / "models" / name / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    check(read(path), tmp_path)
