"""compensate on networks that read handwritten digits: the accuracy left without any training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from texts import feed, layer, softmax_loss

import graphc
from graphc.passes.base import Pass
from graphc.passes.compensate import Compensate
from graphc.passes.remove_filters import RemoveFilters

FILLERS = 'weight_filler { type: "msra" }'
TRAINED = 1300
"""Digits to train with, of 1,797."""


def conv(x: str, y: str, n: int) -> str:
    told = f"num_output: {n} kernel_size: 3 pad: 1 {FILLERS}"
    return layer("Convolution", x, y, f"convolution_param {{ {told} }}") + relu(y)


def fc(x: str, y: str, n: int) -> str:
    return layer("InnerProduct", x, y, f"inner_product_param {{ num_output: {n} {FILLERS} }}")


def relu(x: str) -> str:
    return layer("ReLU", x, x, name=f"relu_{x}")


def pool(x: str, y: str, more: str) -> str:
    return layer("Pooling", x, y, f"pooling_param {{ {more} }}")


NETS = {
    "flat": fc("data", "a", 96) + relu("a") + fc("a", "b", 96) + relu("b") + fc("b", "y", 10),
    "convolutional": conv("data", "a", 16)
    + conv("a", "b", 16)
    + pool("b", "p", "pool: MAX kernel_size: 2 stride: 2")
    + conv("p", "c", 32)
    + conv("c", "d", 32)
    + pool("d", "q", "pool: AVE global_pooling: true")
    + fc("q", "y", 10),
}
STEPS = {"flat": (1000, 0.05), "convolutional": (250, 0.05)}


@dataclass
class Reader:
    """A trained network and digits it has not seen."""

    net: graphc.Graph
    x: np.ndarray
    labels: np.ndarray

    def accuracy(self, net: graphc.Graph) -> float:
        with graphc.compile(net, batch=len(self.x) - TRAINED) as exe:
            found = exe.run({"data": self.x[TRAINED:]})["y"]
        return float((found.argmax(1) == self.labels[TRAINED:]).mean())

    def less(self, *passes: Pass, images: int = 256) -> float:
        """The accuracy of what passes leave, which see that many images and no labels."""
        net = graphc.optimize(
            self.net, passes, calibration={"data": self.x[:images]}, measure=False
        )[0]
        return self.accuracy(net)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reader]:
    data = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = (data.images[order, None] / 16).astype(np.float32)
    labels = data.target[order]

    def made(name: str) -> Reader:
        folder: Path = tmp_path_factory.mktemp(name)
        steps, rate = STEPS[name]
        text = feed(data=(64, 1, 8, 8), label=(64,)) + NETS[name] + softmax_loss("y")
        (folder / "net.prototxt").write_text(text)
        (folder / "solver").write_text(
            f'net: "{folder}/net.prototxt" base_lr: {rate} momentum: 0.9 lr_policy: "step" '
            f"gamma: 0.1 stepsize: {steps * 3 // 4} weight_decay: 0.0005 random_seed: 1"
        )
        solver, rng = graphc.Solver(folder / "solver", threads=1), np.random.default_rng(1)
        for _ in range(steps):
            at = rng.integers(0, TRAINED, 64)
            solver.step(1, {"data": x[at], "label": labels[at]})
        (folder / "deploy.prototxt").write_text(feed(data=(256, 1, 8, 8)) + NETS[name])
        weights = solver.snapshot(folder / "net")
        return Reader(graphc.load(folder / "deploy.prototxt", weights), x, labels)

    return made


def test_three_quarters_of_the_inner_channels_suffice(reader) -> None:
    found = reader("convolutional")
    assert found.accuracy(found.net) >= 0.98
    assert found.less(Compensate(ratio=0.25)) >= 0.975
    assert found.less(Compensate(ratio=0.25, ranking="l1")) >= 0.97
    assert found.less(Compensate(ratio=0.25), images=64) >= 0.97
    half = found.less(Compensate(ratio=0.5))
    bare = found.less(RemoveFilters(criterion="l1", ratio=0.5, mode="lossy"))
    assert half >= 0.95 and bare <= half - 0.2


def test_a_fifth_of_the_hidden_units_suffices(reader) -> None:
    """76 of 96 go: with compensation next to nothing is lost, without it more than ten points."""
    found = reader("flat")
    made = found.less(Compensate(ratio=0.792, layers=("y",)))
    bare = found.less(RemoveFilters(criterion="l1", ratio=0.792, layers=("b",), mode="lossy"))
    assert found.accuracy(found.net) >= 0.975 <= made and bare <= 0.9
