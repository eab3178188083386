"""Well-known networks with rule-made weights: outputs, blob statistics and gradients of real Caffe.

GRAPHC_GOLDEN_NETS=all adds those that take more seconds or memory on the reference executor.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.netweights import fill_weights, net_input, sample_index, statistics, top_gradient

import graphc

FILES = {
    "lenet": "lenet/lenet.prototxt",
    "cifar10_quick": "cifar10/cifar10_quick.prototxt",
    "cifar10_full": "cifar10/cifar10_full.prototxt",
    "squeezenet_v1.1": "squeezenet/squeezenet_v1.1_deploy.prototxt",
    "mobilenet_v1": "mobilenet/mobilenet_v1_deploy.prototxt",
    "bvlc_googlenet": "googlenet/deploy.prototxt",
    "resnet50": "resnet/ResNet-50-deploy.prototxt",
}
LARGE = {
    "bvlc_alexnet": "alexnet/deploy.prototxt",
    "bvlc_reference_caffenet": "caffenet/deploy.prototxt",
    "mobilenet_v2": "mobilenet/mobilenet_v2_deploy.prototxt",
    "resnet101": "resnet/ResNet-101-deploy.prototxt",
    "resnet152": "resnet/ResNet-152-deploy.prototxt",
    "squeezenet_v1.0": "squeezenet/squeezenet_v1.0_deploy.prototxt",
}
OURS = {"bvlc_alexnet": "alexnet", "bvlc_googlenet": "googlenet"}
OURS |= {"bvlc_reference_caffenet": "caffenet"}
# the published files are not the papers' networks, ours are
DIFFERENT = {
    "resnet50": "the published prototxt has a bias in conv1",
    "mobilenet_v2": "the published prototxt expands in its first block too",
}
DIFFERENTIATED = {"lenet", "cifar10_quick", "cifar10_full"}
NETS = FILES | (LARGE if os.environ.get("GRAPHC_GOLDEN_NETS") == "all" else {})


@dataclass(frozen=True)
class Golden:
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


def read(caffe: Path, name: str) -> Golden:
    with np.load(caffe / "nets" / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key != "meta"}
        return Golden(json.loads(str(file["meta"])), arrays)


def build(path: Path, golden: Golden) -> tuple[graphc.Graph, np.ndarray]:
    """The net with its rule-made weights, shaped for its input; and that input."""
    meta = golden.meta
    net = graphc.load(path, phase="TEST", shapes={meta["input"]: tuple(meta["input_shape"])})
    types = {node.name: node.op.type for node in net.forward_nodes()}
    layers = [(name, types[name], blobs) for name, blobs in net.params.items()]
    fill_weights(meta["seed"], layers, meta["last_scale"])
    return net, net_input(meta["seed"], meta["input_shape"], meta["input_scale"])


def check_outputs(golden: Golden, tops: dict[str, np.ndarray]) -> None:
    meta, arrays = golden.meta, golden.arrays
    logits = arrays["logits"]
    ours = tops[meta["logits_blob"]].reshape(logits.shape)
    assert np.abs(ours - logits).max() <= 1e-4 * np.abs(logits).max()
    prob = arrays[f"out/{meta['output']}"]
    assert np.abs(tops[meta["output"]].reshape(prob.shape) - prob).max() <= 1e-4


def check_forward(golden: Golden, tops: dict[str, np.ndarray]) -> None:
    """Outputs, and statistics and samples of all blobs."""
    check_outputs(golden, tops)
    meta, arrays = golden.meta, golden.arrays
    compared = 0
    for index, name in enumerate(meta["blob_names"]):
        if name not in tops or "_split_" in name:
            continue
        blob, expected = tops[name], arrays["blob_stats"][index]
        assert list(blob.shape) == meta["blob_shapes"][index], name
        assert statistics(blob)[3] == pytest.approx(expected[3], rel=1e-4), name
        samples = blob.ravel()[sample_index(blob.size, 16)]
        assert np.abs(samples - arrays["blob_samples"][index]).max() <= 1e-4 * expected[2], name
        compared += 1
    assert compared > 5


def check_backward(golden: Golden, grads: Any) -> None:
    meta, arrays = golden.meta, golden.arrays
    for index, key in enumerate(meta["params"]):
        layer, _, number = key.rpartition("/")
        found = grads.params[layer][int(number)]
        check_gradient(key, found, arrays["grad_stats"][index], arrays["grad_samples"][index])
    stats, samples = arrays["indiff_stats"].ravel(), arrays["indiff_samples"].ravel()
    check_gradient("input", grads.blobs[meta["input"]], stats, samples)


def check_gradient(name: str, ours: np.ndarray, stats: np.ndarray, samples: np.ndarray) -> None:
    """Near-ties in ReLU and max pooling may fall either way, which moves whole paths."""
    assert statistics(ours)[3] == pytest.approx(stats[3], rel=2e-2), name
    found = ours.ravel()[sample_index(ours.size, samples.size)]
    assert (np.abs(found - samples) <= 5e-2 * stats[2]).mean() >= 0.95, name


def check(path: Path, name: str, caffe: Path) -> None:
    golden = read(caffe, name)
    net, x = build(path, golden)
    train = name in DIFFERENTIATED
    exe = graphc.compile(net, train=train, passes=(), keep="all")
    check_forward(golden, exe.forward({golden.meta["input"]: x}))
    if train:
        output = golden.meta["output"]
        seed = top_gradient(golden.meta["seed"], golden.arrays[f"out/{output}"].shape)
        check_backward(golden, exe.backward({output: seed}))


@pytest.mark.parametrize("name", NETS)
def test_public_prototxt(name: str, caffe: Path, shared: Path) -> None:
    check(shared / "zoo" / NETS[name], name, caffe)


@pytest.mark.parametrize("name", NETS)
def test_our_prototxt(name: str, caffe: Path, root: Path) -> None:
    if name in DIFFERENT:
        pytest.skip(DIFFERENT[name])
    path = root / "models" / OURS.get(name, name) / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    check(path, name, caffe)
