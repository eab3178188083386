"""low_rank at full rank on known networks: the same logits, also when exported and read back.

Small networks by every method; GRAPHC_GOLDEN_NETS=all adds the others, which take minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from passes.networks import Network, read
from passes.test_networks import CPU, OURS, PUBLISHED, REFERENCE, ZOO, far, open_published, run

import graphc
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.front.schema import dialect
from graphc.passes.low_rank import LowRank

IS_ALL = os.environ.get("GRAPHC_GOLDEN_NETS") == "all"
SMALL = ("det1", "det2", "det3", "lenet", "cifar10_quick", "cifar10_full", "resnet20")
METHODS = ("pca", "svd", "tai", "tucker", "decouple")
MADE = {"Convolution", "InnerProduct", "Eltwise"}
"""Layer types that the pass makes."""


def check(network: Network, folder: Path, methods: tuple[str, ...] = METHODS) -> None:
    plain = run(network.graph, network)
    types = {node.op.type for node in network.graph.nodes} | MADE
    for method in methods:
        each = LowRank(method=method, error=0.0, when="always")  # type: ignore[arg-type]
        made, report = graphc.optimize(network.graph, [each], keep=network.logits, measure=False)
        assert report.passes[-1].changed and len(made.nodes) > len(network.graph.nodes)
        assert all(
            c.weight_error is None or c.weight_error < 1e-6 for c in report.passes[-1].layers
        )
        found = run(made, network)
        assert far(found, plain) <= REFERENCE, method
        assert far(run(made, network, "cpu"), plain) <= CPU, method
        text = to_prototxt(made)
        message = text_format.Parse(text, dialect("bvlc").new("NetParameter"))
        assert {layer.type for layer in message.layer} <= types
    (folder / "net.prototxt").write_text(text)
    write_caffemodel(made, folder / "net.caffemodel")
    again = graphc.load(folder / "net.prototxt", folder / "net.caffemodel")
    assert graphc.compare(again, made, inputs=network.feeds, tolerance=0.0).ok


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
