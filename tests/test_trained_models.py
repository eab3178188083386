"""The weights in models/: they fit their networks, and are as good as models/README.md says."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest

import graphc
from graphc.data.blob import read_mean
from graphc.limits import Limits

MODELS = Path(__file__).resolve().parent.parent / "models"
README = (MODELS / "README.md").read_text()
NETS = {"lenet": "mnist.npz", "cifar10_quick": "cifar10.npz"}


def accuracy(name: str) -> float:
    """As the table of trained weights says."""
    found = re.search(rf"^\| `{name}\.caffemodel` \|.*\| (\d\.\d{{4}}) \|", README, re.M)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("name", NETS)
def test_weights_fit(name: str) -> None:
    net = graphc.load(MODELS / name / "deploy.prototxt", MODELS / name / f"{name}.caffemodel")
    assert all(np.isfinite(blob).all() for blobs in net.params.values() for blob in blobs)


@pytest.mark.parametrize("name", NETS)
def test_accuracy(name: str, shared: Path) -> None:
    x, labels = TESTED[name](shared / "data" / NETS[name])
    deploy, weights = MODELS / name / "deploy.prototxt", MODELS / name / f"{name}.caffemodel"
    with graphc.compile(graphc.load(deploy, weights, batch=500)) as exe:
        found = [exe.run({"data": x[i : i + 500]})["prob"].argmax(1) for i in range(0, len(x), 500)]
    assert round(float((np.concatenate(found) == labels).mean()), 4) == accuracy(name)


def mnist(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as arrays:
        return arrays["test_image"][:, None] / np.float32(256), arrays["test_label"]


def cifar10(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """RGB planes less the mean image; the file has one header, and a scan for each image."""
    image = pytest.importorskip("PIL.Image")
    mean = read_mean(MODELS / "cifar10_quick/mean.binaryproto", Limits())
    with np.load(path) as arrays:
        header, scan = arrays["jpeg_header"].tobytes(), arrays["test_scan"]
        ends, labels = arrays["test_offset"], arrays["test_label"]
    found = np.empty((len(labels), 3, 32, 32), np.float32)
    for i in range(len(labels)):
        jpeg = io.BytesIO(header + scan[ends[i] : ends[i + 1]].tobytes())
        found[i] = np.asarray(image.open(jpeg)).transpose(2, 0, 1)
    return found - mean, labels


TESTED = {"lenet": mnist, "cifar10_quick": cifar10}
