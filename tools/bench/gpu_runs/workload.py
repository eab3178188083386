"""What the stages run: graphc's networks, data, and the target that stands for a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MODELS = Path(__file__).resolve().parents[3] / "models"
NETS = ("alexnet", "vgg16", "resnet50")
SMALL = ("lenet", "cifar10_quick")
SEED = 3


def target(dry: bool) -> str:
    """Without a GPU the plan runs on the fake one."""
    return "fake" if dry else "cuda"


def file(net: str, train: bool) -> str:
    return str(MODELS / net / ("train.prototxt" if train else "deploy.prototxt"))


def feeds(inputs: dict[str, tuple[int, ...]], classes: int = 10) -> dict[str, Any]:
    """Random images, never zeros, and random labels where there is a name for them."""
    rng = np.random.Generator(np.random.Philox(key=SEED))
    return {
        name: rng.integers(0, classes, shape)
        if name == "label"
        else rng.standard_normal(shape, np.float32)
        for name, shape in inputs.items()
    }


def distance(ours: Any, theirs: Any) -> float:
    """Relative L2: |a - b| / |b|."""
    a, b = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    length = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / length if length else float(np.linalg.norm(a))
