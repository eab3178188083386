"""Make a trained network of models/ smaller and faster: passes, then training with `graphc.Solver`.

usage: python tools/smaller.py lenet DATA.npz [--out FOLDER]

DATA.npz holds train_image, train_label, test_image and test_label. Prints the table of
docs/smaller.md: accuracy on the test images and time of one image on one thread, before and after
each step.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import graphc
from graphc.count import count
from graphc.driver import shape
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt
from graphc.passes.base import Pass, PassContext, Report
from graphc.passes.prune_weights import PruneWeights
from graphc.passes.remove_filters import RemoveFilters
from graphc.passes.sparse_layout import SparseLayout

MODELS = Path(__file__).resolve().parent.parent / "models"
LOGITS, CALIBRATION, ROUNDS = "ip2", 512, 7


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
    """How a network is made smaller: passes after which it is trained, and how, and the last ones,
    which are for one image at a time."""

    first: Sequence[Pass]
    second: Sequence[Pass]
    last: Sequence[Pass]
    rate: float
    decay: float
    batch: int
    iterations: int


PLANS = {
    "lenet": Plan(
        [Sparser(), RemoveFilters(criterion="taylor", macs=0.45)],
        [RemoveFilters(criterion="taylor", macs=0.4)],
        [PruneWeights(sparsity=0.3), SparseLayout()],
        0.01, 0.0005, 64, 2000,
    ),
}  # fmt: skip


class Images:
    """Gray images, scaled as LeNet was trained with them, and labels."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.x = {part: file[f"{part}_image"] for part in ("train", "test")}
            self.y = {part: file[f"{part}_label"] for part in ("train", "test")}

    def batch(self, part: str, at: np.ndarray | slice) -> dict[str, np.ndarray]:
        return {"data": self.x[part][at][:, None] / np.float32(256), "label": self.y[part][at]}

    def batches(self, size: int, count: int) -> Iterator[dict[str, np.ndarray]]:
        rng = np.random.default_rng(1)
        for _ in range(count):
            yield self.batch("train", rng.integers(0, len(self.y["train"]), size))


def deployed(graph: graphc.Graph) -> graphc.Graph:
    """The network up to its scores, without the losses and what only they read."""
    short = graphc.optimize(graph, [], measure=False)[0]
    short.outputs = [short.value(LOGITS)]
    return graphc.optimize(short, ["remove_dead_code"], measure=False)[0]


def accuracy(graph: graphc.Graph, images: Images) -> float:
    right = 0
    total = len(images.y["test"])
    with graphc.compile(deployed(graph)) as exe:
        for at in range(0, total, 500):
            feeds = images.batch("test", slice(at, at + 500))
            scores = exe.run(feeds)[LOGITS]
            right += int((scores.argmax(1) == feeds["label"]).sum())
    return right / total


def times(graphs: Sequence[graphc.Graph]) -> list[float]:
    """Microseconds of one image on one thread: the least of some rounds, taken in turns."""
    exes = [graphc.compile(deployed(g), batch=1, threads=1) for g in graphs]
    rounds = [[graphc.bench(exe, repeat=50).median_us for exe in exes] for _ in range(ROUNDS)]
    return [min(row) for row in zip(*rounds, strict=True)]


def trained(graph: graphc.Graph, images: Images, plan: Plan, folder: Path) -> graphc.Graph:
    """The network after some iterations of SGD, of which the last fifth at a tenth of the rate."""
    net, weights, solver = (folder / f"less.{end}" for end in ("prototxt", "caffemodel", "solver"))
    net.write_text(to_prototxt(graph))
    write_caffemodel(graph, weights)
    step = 4 * plan.iterations // 5
    solver.write_text(
        f'net: "{net}" base_lr: {plan.rate} momentum: 0.9 weight_decay: {plan.decay} '
        f'lr_policy: "step" gamma: 0.1 stepsize: {step} random_seed: 1'
    )
    run = graphc.Solver(solver, weights=weights)
    for feeds in images.batches(plan.batch, plan.iterations):
        run.step(1, feeds)
    return graphc.load(net, run.snapshot(folder / "less"))


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("net", choices=sorted(PLANS))
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path())
    given = parser.parse_args(args)
    plan, images = PLANS[given.net], Images(given.data)
    given.out.mkdir(parents=True, exist_ok=True)
    place = MODELS / given.net
    calibration = images.batch("train", slice(0, CALIBRATION))
    graph = graphc.load(
        place / "train.prototxt", place / f"{given.net}.caffemodel", batch=CALIBRATION
    )
    steps = [("as trained", graph)]
    for passes in (plan.first, plan.second):
        graph, report = graphc.optimize(graph, passes, calibration=calibration, measure=False)
        print(report)
        steps.append((", ".join(each.name for each in passes), graph))
        graph = trained(shape(graph, batch=plan.batch), images, plan, given.out)
        steps.append((f"{plan.iterations} iterations", graph))
        graph = shape(graph, batch=CALIBRATION)
    graph = deployed(shape(graph, batch=1))
    graph, report = graphc.optimize(graph, plan.last, measure=False)
    print(report)
    steps.append((", ".join(each.name for each in plan.last), graph))
    us = times([each for _, each in steps])
    print("| step | multiply-adds | parameters | accuracy | us per image | of before |")
    print("|---|---|---|---|---|---|")
    for (told, each), time in zip(steps, us, strict=True):
        total = [sum(getattr(c, key) for _, c in count(each)) for key in ("macs", "params")]
        score = accuracy(each, images)
        print(f"| {told} | {total[0]:,} | {total[1]:,} | {score:.4f} | {time:.1f} "
              f"| {time / us[0]:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
