"""Makes graphc/tables/h200/cudnn-VERSION-DTYPE.json: cuDNN's plans of convolutions, without a GPU.

usage: python tools/cudnn_tables.py [--out FOLDER] [NET=BATCH,BATCH]...
       default: those of NETS

It needs nvidia-cudnn-frontend, nvidia-cudnn-cu13 and nvidia-cublas, of which cuDNN asks its
version; no GPU and no driver. cuDNN lists plans for the GPU that graphc/tables/h200/described.json
tells it of. A product's plans are kept that nobody beats in both workspace and cuDNN's order, among
all plans or those that are deterministic, do without tensor cores, or both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version as version_of
from pathlib import Path

from graphc.cuda import cudnn
from graphc.cuda.dense import DIRECTIONS, product_of
from graphc.cuda.launch import Spec
from graphc.cuda.library import GPU
from graphc.cuda.plans import LAYOUTS, Plan, Product, Table, fastest_first, table_path
from graphc.cuda.variants import Use
from graphc.ir.graph import Graph
from graphc.lower.cpu import problems
from graphc.memory import pinned_values, prepared

MODELS = Path(__file__).resolve().parent.parent / "models"
NETS = {
    "alexnet": (1, 32, 64, 128, 256),
    "vgg16": (1, 16, 32, 64, 256),
    "resnet50": (1, 32, 64, 128, 256),
}
CHOICES = [(tf32, fixed) for tf32 in (True, False) for fixed in (True, False)]


def variations(net: str, batches: Sequence[int]) -> Iterator[Graph]:
    """A network for inference, as it is compiled with passes and without, and for training."""
    for batch in batches:
        if batch != 1:
            yield prepared(MODELS / net / "train.prototxt", True, batch, ())
        for passes in ("default", ()):
            yield prepared(MODELS / net / "deploy.prototxt", False, batch, (), passes)


def products(nets: dict[str, Sequence[int]], dtype: str) -> dict[str, Product]:
    """Every product of the networks' convolutions, by key."""
    found: dict[str, Product] = {}
    for net, batches in nets.items():
        for graph in variations(net, batches):
            for problem, _ in problems(graph, pinned_values(graph, ())).values():
                if problem.symbol not in DIRECTIONS:
                    continue
                told = {**dict(problem.attrs), "relu": False, "residual": False}
                sides = (problem.reads, problem.writes)
                reads, writes = (tuple(Spec(dtype, dims) for _, dims in side) for side in sides)
                product = product_of(Use(problem.symbol, tuple(told.items()), reads, writes))
                if product is not None:
                    found[product.key] = product
    return found


def kept(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """Those that some choice of arithmetic and determinism would take, in cuDNN's order."""
    wanted = {plan for choice in CHOICES for plan in fastest_first(plans, *choice)}
    return tuple(plan for plan in plans if plan in wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nets", nargs="*", metavar="NET=BATCH,BATCH")
    parser.add_argument("--out", type=Path, help="folder of the tables")
    told = parser.parse_args()
    pairs = (text.split("=") for text in told.nets)
    given = {net: [*map(int, batches.split(","))] for net, batches in pairs}
    nets: dict[str, Sequence[int]] = {**(given or NETS)}
    release = version_of(cudnn.FRONTEND)
    cudnn_version = cudnn.version()
    for dtype in LAYOUTS:
        found = {key: cudnn.listed(p, GPU) for key, p in products(nets, dtype).items()}
        empty = [key for key, plans in found.items() if not plans]
        if empty:
            sys.exit(f"cuDNN has no plan for {empty}")
        made = Table(GPU, cudnn_version, dtype, {key: kept(plans) for key, plans in found.items()})
        path = table_path(GPU, cudnn_version, dtype)
        path = path if told.out is None else told.out / path.name
        path.write_text(made.text(release))
        number = sum(map(len, found.values()))
        rest = sum(map(len, made.products.values()))
        print(f"{path}: {len(found)} products, {rest} plans of {number}, {path.stat().st_size} B")


if __name__ == "__main__":
    main()
