"""Make a trained network of models/ smaller and faster: passes, then training with `graphc.Solver`.

usage: python tools/smaller.py lenet mnist.npz [--out FOLDER]
       python tools/smaller.py cifar10_quick train.npz test.npz [--out FOLDER]

One file holds train_image, train_label, test_image and test_label; of two, as `graphc data convert`
writes them, each holds data and label. Prints the tables of docs/smaller.md: accuracy on the test
images and time of one image on one thread, alone and in a batch, before and after each step. The
network after each step stays in FOLDER; --measure makes none and measures these.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import graphc
from graphc.count import count
from graphc.data.blob import read_blob
from graphc.driver import shape
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.limits import Limits
from graphc.passes.base import Pass, PassContext, Report
from graphc.passes.low_rank import LowRank
from graphc.passes.prune_weights import PruneWeights
from graphc.passes.remove_filters import RemoveFilters
from graphc.passes.sparse_layout import SparseLayout

MODELS = Path(__file__).resolve().parent.parent / "models"
LOGITS, CALIBRATION, ROUNDS = "ip2", 512, 40
BATCHES = {1: 50, 64: 2}
"""Sizes of the batches that are timed -> runs of one round."""


@dataclass(frozen=True)
class Sparser(Pass):
    """A pass of one's own: of each filter, the weights below `share` of its largest become zero."""

    name = "sparser"
    exact = False
    share: float = 0.02

    def run(self, graph: graphc.Graph, ctx: PassContext) -> Report:
        count = 0
        for node in graph.forward_nodes():
            if "weight" in node.params:
                weight = graph.weight(node.params["weight"])
                rows = np.abs(weight.reshape(len(weight), -1))
                small = rows < self.share * rows.max(1, keepdims=True)
                weight.reshape(rows.shape)[small] = 0
                count += int(small.sum())
        return Report(self.name, count > 0, (f"{count} weights are zero",))


@dataclass(frozen=True)
class Plan:
    """How a network is made smaller: passes, after each list of which it is trained for so many
    iterations, and the last ones, which are for one image at a time. `mirror`: half of the images
    to train with are mirrored."""

    rounds: Sequence[tuple[Sequence[Pass], int]]
    last: Sequence[Pass]
    rate: float
    decay: float
    batch: int
    mirror: bool = False


def fewer(**shares: float) -> list[Pass]:
    """remove_filters of each layer by name: the share of its filters that goes."""
    return [RemoveFilters(criterion="taylor", ratio=r, layers=(n,)) for n, r in shares.items()]


PLANS = {
    "lenet": Plan(
        [
            ([Sparser(), LowRank("svd", rank=(32,), layers=("ip1",), when="smaller"),
              *fewer(conv1=0.4, conv2=0.4, ip1_linear=0.5)], 2000),
            (fewer(conv1=1 / 3, conv2=0.4667, ip1_linear=0.488), 3000),
        ],
        [PruneWeights(sparsity=0.3), SparseLayout()],
        0.01, 0.0005, 64,
    ),
    "cifar10_quick": Plan(
        [
            ([Sparser(), *fewer(conv1=0.5, conv2=0.5),
              LowRank(rank=(16, 16), layers=("conv3", "ip1"), response="asymmetric",
                      when="smaller")], 12000),
        ],
        [PruneWeights(sparsity=0.1), SparseLayout()],
        0.002, 0.001, 100, True,
    ),
}  # fmt: skip


class Images:
    """Images as the networks were trained with them, and labels.

    Gray ones are (N, H, W), divided by 256; coloured ones (N, 3, H, W), less the mean image.
    """

    def __init__(self, files: Sequence[Path], mean: Path) -> None:
        self.x: dict[str, np.ndarray] = {}
        self.y: dict[str, np.ndarray] = {}
        for part, path in zip(("train", "test"), [*files, *files], strict=False):
            names = (f"{part}_image", f"{part}_label") if len(files) == 1 else ("data", "label")
            with np.load(path) as file:
                self.x[part], self.y[part] = (file[name] for name in names)
        self.mean = read_blob(mean, Limits()) if mean.exists() else None

    def batch(self, part: str, at: np.ndarray | slice) -> dict[str, np.ndarray]:
        x = self.x[part][at].astype(np.float32)
        scaled = x[:, None] / np.float32(256) if self.mean is None else x - self.mean
        return {"data": scaled, "label": self.y[part][at]}

    def batches(self, plan: Plan, count: int) -> Iterator[dict[str, np.ndarray]]:
        rng = np.random.default_rng(1)
        for _ in range(count):
            feeds = self.batch("train", rng.integers(0, len(self.y["train"]), plan.batch))
            if plan.mirror:
                turned = rng.random(plan.batch) < 0.5
                feeds["data"][turned] = feeds["data"][turned][..., ::-1]
            yield feeds


def deployed(graph: graphc.Graph) -> graphc.Graph:
    """The network up to its scores, without the losses and what only they read."""
    short = graphc.optimize(graph, [], measure=False)[0]
    short.outputs = [short.value(LOGITS)]
    for node in short.forward_nodes():
        node.loss = {}
    return graphc.optimize(short, ["remove_dead_code"], measure=False)[0]


def accuracy(graph: graphc.Graph, images: Images) -> float:
    right = 0
    total = len(images.y["test"])
    with graphc.compile(graph, batch=500) as exe:
        for at in range(0, total, 500):
            feeds = images.batch("test", slice(at, at + 500))
            scores = exe.run(feeds)[LOGITS]
            right += int((scores.argmax(1) == feeds["label"]).sum())
    return right / total


def times(graphs: Sequence[graphc.Graph]) -> list[list[float]]:
    """Microseconds of one image on one thread, by batch size: the least of rounds by turns."""
    found, peaks = [], None
    for batch, repeat in BATCHES.items():
        exes = [graphc.compile(g, batch=batch, threads=1) for g in graphs]
        peaks = peaks or graphc.bench(exes[0], repeat=1).peaks
        rounds = [
            [min(graphc.bench(exe, repeat=repeat, peaks=peaks).run_us) for exe in exes]
            for _ in range(ROUNDS)
        ]
        found.append([min(row) / batch for row in zip(*rounds, strict=True)])
    return found


def trained(
    graph: graphc.Graph, images: Images, plan: Plan, iterations: int, folder: Path
) -> graphc.Graph:
    """The network after some iterations of SGD: the last quarter at a tenth of the rate, the last
    sixteenth at a hundredth."""
    net, weights, solver = (folder / f"less.{end}" for end in ("prototxt", "caffemodel", "solver"))
    net.write_text(to_prototxt(graph))
    write_caffemodel(graph, weights)
    solver.write_text(
        f'net: "{net}" base_lr: {plan.rate} momentum: 0.9 weight_decay: {plan.decay} '
        f'lr_policy: "multistep" gamma: 0.1 stepvalue: {iterations * 3 // 4} '
        f"stepvalue: {iterations * 15 // 16} random_seed: 1"
    )
    run = graphc.Solver(solver, weights=weights, threads=1)
    for feeds in images.batches(plan, iterations):
        run.step(1, feeds)
    return graphc.load(net, run.snapshot(folder / "less"))


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("net", choices=sorted(PLANS))
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--measure", action="store_true")
    given = parser.parse_args(args)
    place = MODELS / given.net
    images = Images(given.data, place / "mean.binaryproto")
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.measure:
        make(given.net, images, given.out)
    steps = [line.split(": ") for line in (given.out / "steps.txt").read_text().splitlines()]
    graphs = [graphc.load(given.out / f"{at}.prototxt", given.out / f"{at}.caffemodel")
              for at, _ in steps]  # fmt: skip
    us = times([*graphs, graphs[0]])
    print("the first network timed twice:", *(f"{row[-1] / row[0]:.3f}" for row in us))
    print("| step | multiply-adds | parameters | accuracy "
          + "".join(f"| us, batch {n} | of before " for n in BATCHES) + "|")  # fmt: skip
    print("|---" * (4 + 2 * len(BATCHES)) + "|")
    for at, (graph, (_, told)) in enumerate(zip(graphs, steps, strict=True)):
        total = [sum(getattr(c, key) for _, c in count(graph)) for key in ("macs", "params")]
        cost = "".join(f"| {row[at]:.1f} | {row[at] / row[0]:.2f} " for row in us)
        print(f"| {told} | {total[0]:,} | {total[1]:,} | {accuracy(graph, images):.4f} {cost}|")


def make(name: str, images: Images, folder: Path) -> None:
    """Write the network as it was and after each step, for one image, and steps.txt."""
    plan, place = PLANS[name], MODELS / name
    calibration = images.batch("train", slice(0, CALIBRATION))
    graph = graphc.load(place / "train.prototxt", place / f"{name}.caffemodel", batch=CALIBRATION)
    told: list[str] = []

    def keep(title: str) -> None:
        graphc.export(shape(deployed(graph), batch=1), folder / str(len(told)), modes=True)
        told.append(f"{len(told)}: {title}")

    keep("as trained")
    for passes, iterations in plan.rounds:
        graph, report = graphc.optimize(graph, passes, calibration=calibration, measure=False)
        print(report, flush=True)
        keep(", ".join(dict.fromkeys(each.name for each in passes)))
        graph = trained(shape(graph, batch=plan.batch), images, plan, iterations, folder)
        keep(f"{iterations} iterations")
        graph = shape(graph, batch=CALIBRATION)
    graph, report = graphc.optimize(deployed(shape(graph, batch=1)), plan.last, measure=False)
    print(report)
    keep(", ".join(each.name for each in plan.last))
    (folder / "steps.txt").write_text("\n".join(told) + "\n")


if __name__ == "__main__":
    main()
