"""Every exact pass, and all default passes, on known networks: the same logits, also when exported.

GRAPHC_GOLDEN_NETS=all adds those that take more seconds or memory on the reference executor.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from passes.networks import Network, read

import graphc
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.front.schema import dialect
from graphc.passes.registry import DEFAULT

REFERENCE, CPU = 1e-5, 1e-4
"""Shares of the largest logit by which one may change."""
MERGE = "merge_convolutions"
STOCK = set(
    "Input Convolution Deconvolution InnerProduct Pooling LRN ReLU PReLU Softmax Concat Slice "  # noqa: SIM905
    "Eltwise Scale Bias Power BatchNorm Flatten Reshape Dropout Parameter DummyData".split()
)
"""Layer types of stock Caffe, those that networks consist of."""

PUBLISHED = {
    "squeezenet_v1.0_pruned": "squeezenet/squeezenet_v1.0_pruned{}",
    "det1": "mtcnn/det1{}",
    "det2": "mtcnn/det2{}",
    "det3": "mtcnn/det3{}",
}
ZOO = {
    "lenet": "lenet/lenet",
    "cifar10_quick": "cifar10/cifar10_quick",
    "cifar10_full": "cifar10/cifar10_full",
    "mobilenet_v1": "mobilenet/mobilenet_v1_deploy",
    "mobilenet_v2": "mobilenet/mobilenet_v2_deploy",
    "googlenet": "googlenet/deploy",
    "resnet50": "resnet/ResNet-50-deploy",
}
LARGE = {
    "squeezenet_v1.0": "squeezenet/squeezenet_v1.0_deploy",
    "squeezenet_v1.1": "squeezenet/squeezenet_v1.1_deploy",
    "alexnet": "alexnet/deploy",
    "caffenet": "caffenet/deploy",
    "resnet101": "resnet/ResNet-101-deploy",
    "resnet152": "resnet/ResNet-152-deploy",
}
OURS = ["resnet20", "resnet56"]
OURS_LARGE = ["resnet110", "inception_v4", "vgg16"]
if os.environ.get("GRAPHC_GOLDEN_NETS") == "all":
    ZOO |= LARGE
    OURS += OURS_LARGE


def open_published(name: str, shared: Path) -> Network:
    place = shared / "zoo"
    text = PUBLISHED[name].format("_deploy.prototxt" if "pruned" in name else ".prototxt")
    return read(place / text, place / PUBLISHED[name].format(".caffemodel"))


def far(found: dict[str, np.ndarray], plain: dict[str, np.ndarray]) -> float:
    """The largest change of a blob, as a share of its largest element."""
    assert list(found) == list(plain)
    shares = []
    for name, array in plain.items():
        assert np.isfinite(array).all() and np.abs(array).max() > 0, name
        shares.append(np.abs(found[name] - array).max() / np.abs(array).max())
    return float(max(shares))


def run(graph: graphc.Graph, network: Network, target: str = "reference") -> dict[str, np.ndarray]:
    """Outputs and logits."""
    exe = graphc.compile(graph, target=target, passes=(), keep=network.logits)
    return exe.run(network.feeds)


def check(network: Network, folder: Path) -> Counter[str]:
    """Types of layers left by the default passes, after all was compared."""
    plain = run(network.graph, network)
    for name in (*DEFAULT, f"{MERGE}:when=always"):
        each = graphc.passes.recipe.parse_spec(name)
        one, report = graphc.optimize(network.graph, [each], keep=network.logits, measure=False)
        if report.passes[-1].changed:
            assert far(run(one, network), plain) <= REFERENCE, name
    short, _ = graphc.optimize(network.graph, keep=network.logits, measure=False)
    assert far(run(short, network), plain) <= REFERENCE
    fast = run(short, network, "cpu")
    assert far(fast, plain) <= CPU
    check_export(short, network, fast, folder)
    return Counter(node.op.type for node in short.nodes)


def check_export(
    graph: graphc.Graph, network: Network, expected: dict[str, np.ndarray], folder: Path
) -> None:
    """Stock Caffe can read it, and what is read back gives the same numbers on the core."""
    text = to_prototxt(graph)
    message = text_format.Parse(text, dialect("bvlc").new("NetParameter"))
    assert {layer.type for layer in message.layer} <= STOCK
    assert not any("@" in top for layer in message.layer for top in layer.top)
    (folder / "short.prototxt").write_text(text)
    write_caffemodel(graph, folder / "short.caffemodel")
    again = graphc.load(folder / "short.prototxt", folder / "short.caffemodel")
    body = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    assert to_prototxt(again) == body
    for name, array in run(again, network, "cpu").items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights(name: str, shared: Path, tmp_path: Path) -> None:
    check(open_published(name, shared), tmp_path)


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str, shared: Path, tmp_path: Path) -> None:
    left = check(read(shared / "zoo" / f"{ZOO[name]}.prototxt"), tmp_path)
    assert not left["BatchNorm"] and not left["Scale"] and not left["Dropout"]
    if name == "resnet50":
        assert left == {
            **{"Input": 1, "Convolution": 53, "ReLU": 49, "Eltwise": 16},
            **{"Pooling": 2, "InnerProduct": 1, "Softmax": 1},
        }


@pytest.mark.parametrize("name", OURS)
def test_ours(name: str, root: Path, tmp_path: Path) -> None:
    path = root / "models" / name / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    left = check(read(path), tmp_path)
    assert not left["BatchNorm"] and not left["Scale"] and not left["Dropout"]


def test_no_network_takes_more_memory(shared: Path) -> None:
    for path in [f"{ZOO[name]}.prototxt" for name in ("mobilenet_v1", "resnet50")]:
        graph = graphc.load(shared / "zoo" / path)
        before, after = (graphc.compile(graph, passes=p, threads=1).plan for p in ((), "default"))
        assert after.peak_bytes <= before.peak_bytes and len(after.steps) < len(before.steps)


def test_sums_and_activations_of_resnet50_cost_no_call(shared: Path) -> None:
    """53 convolutions, two poolings, an inner product and the softmax are all that runs."""
    low = graphc.lowered(shared / "zoo" / f"{ZOO['resnet50']}.prototxt")
    calls = low.program.calls
    own = Counter(node.op.type for node in map(low.node, calls) if node is not None)
    assert own == {"Convolution": 53, "Pooling": 2, "InnerProduct": 1, "Softmax": 1}
    fused = Counter(node.op.type for call in calls for node in low.fused(call))
    assert fused == {"Eltwise": 16, "ReLU": 49}
