"""Plans of real networks: next to no waste, and the published figures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import graphc
from graphc.ir.infer import infer
from graphc.ir.op import Effect
from graphc.memory import lowered
from graphc.plan import Plan
from graphc.plan.timeline import timeline
from graphc.program import BufferKind

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(p.name for p in (ROOT / "models").iterdir() if p.is_dir())
MIB = 1 << 20
WASTE = {"model": 1.002, "cpu": 1.02}
"""A plan's work arena, in shares of what no plan can be under."""

# MiB per image at batch 32 of activations, their gradients and the images, at most.
PER_IMAGE = {
    "alexnet": 6.1,
    "vgg16": 60.0,
    "googlenet": 23.2,
    "resnet50": 78.0,
    "resnet101": 116.1,
    "resnet152": 164.3,
    "inception_v4": 136.6,
}
IMAGE = (3, 227, 227)
SOURCES = {
    "cifar10": ((100, 3, 32, 32), (100,)),
    "lenet/lenet_train_test": ((64, 1, 28, 28), (64,)),
    "lenet/mnist_autoencoder": ((100, 1, 28, 28), (100,)),
    "googlenet": ((32, 3, 224, 224), (32,)),
    "": ((32, *IMAGE), (32,)),
}


def waste(plan: Plan) -> float:
    """The work arena in shares of what the neediest step holds."""
    assert plan.op_bound <= plan.live_bound <= plan.work_bytes
    return plan.work_bytes / plan.live_bound


@pytest.mark.parametrize("name", MODELS)
def test_our_networks_waste_nothing(name: str) -> None:
    for file, train in (("deploy", False), ("train", True)):
        plan = graphc.plan(ROOT / "models" / name / f"{file}.prototxt", train=train)
        assert waste(plan) <= WASTE["model"], file
        assert plan.breakdown["unused"] == plan.peak_bytes - sum(
            nbytes for kind, nbytes in plan.breakdown.items() if kind != "unused"
        )


@pytest.mark.parametrize("name", PER_IMAGE)
def test_published_figures(name: str) -> None:
    path = ROOT / "models" / name / "train.prototxt"
    low = lowered(path, train=True, batch=32, target="model")
    found = timeline(low.program).most(BufferKind.ACT, BufferKind.IO) / 32 / MIB
    assert found <= PER_IMAGE[name]
    assert waste(low.plan) <= WASTE["model"]


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet50", "squeezenet_v1.0"])
def test_other_batches_waste_nothing(name: str, batch: int) -> None:
    path = ROOT / "models" / name / "train.prototxt"
    assert waste(graphc.plan(path, train=True, batch=batch)) <= WASTE["model"]


@pytest.mark.parametrize("name", MODELS)
def test_our_networks_on_the_cpu_waste_little(name: str) -> None:
    for file, train, batch in (("deploy", False, 1), ("deploy", False, 16), ("train", True, None)):
        path = ROOT / "models" / name / f"{file}.prototxt"
        plan = graphc.plan(path, target="cpu", train=train, batch=batch)
        assert waste(plan) <= WASTE["cpu"], (file, batch)


@cache
def zoo_files(shared: Path) -> list[Path]:
    found = sorted((shared / "zoo").rglob("*.prototxt"))
    return [path for path in found if "solver" not in path.name]


def load(path: Path, shared: Path, phase: str) -> graphc.Graph:
    """A network of the zoo; its data layers get the shapes that its readme tells."""
    stages = ("test-on-train",) if "autoencoder" in path.name and phase == "TEST" else ()
    graph = graphc.load(path, phase=phase, stages=stages)
    if graph.shaped:
        return graph
    name = str(path.relative_to(shared / "zoo"))
    data, label = next(shapes for key, shapes in SOURCES.items() if name.startswith(key))
    sources = [n for n in graph.nodes if n.has(Effect.SOURCE)]
    shapes = {v.name: data if r == "data" else label for n in sources for r, v in n.outs.items()}
    infer(graph, shapes)
    return graph


@pytest.mark.parametrize(
    ("target", "phase", "train", "batch"),
    [
        ("model", "TEST", False, None),
        ("model", "TRAIN", True, None),
        ("cpu", "TEST", False, None),
        ("cpu", "TEST", False, 16),
        ("cpu", "TRAIN", True, None),
    ],
)
def test_the_zoos_networks_waste_nothing(
    target: str, phase: str, train: bool, batch: int | None, shared: Path
) -> None:
    wasteful = {}
    for path in zoo_files(shared):
        net = load(path, shared, phase)
        share = waste(graphc.plan(net, train=train, target=target, batch=batch))
        if share > WASTE[target]:
            wasteful[path.relative_to(shared).as_posix()] = share
    assert not wasteful


def test_a_graph_given_is_not_changed() -> None:
    graph = graphc.load(ROOT / "models/lenet/train.prototxt", phase="TRAIN")
    before = graph.value("conv1").type, len(graph.nodes), dict(graph.grads), dict(graph.weights)
    plan = graphc.plan(graph, train=True, batch=3)
    after = graph.value("conv1").type, len(graph.nodes), dict(graph.grads), dict(graph.weights)
    assert before == after
    assert plan.peak_bytes < graphc.plan(graph, train=True).peak_bytes


def test_training_without_a_loss_takes_gradients_of_outputs() -> None:
    path = ROOT / "models/lenet/deploy.prototxt"
    low = lowered(path, train=True, target="model", keep=("conv1",))
    assert list(low.program.seeds) == ["prob"]
    assert set(low.plan.entries) == {"forward", "backward"}
    assert low.program.values["conv1"] in low.program.kept
    assert lowered(path, train=True, target="model", keep="all").program.kept > low.program.kept


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"target": "tpu"}, "GC-R002"),
        ({"target": "cpu", "threads": 0}, "GC-R004"),
        ({"keep": ("nothing",)}, "GC-R002"),
        ({"batch": -1}, "GC-"),
    ],
)
def test_what_cannot_be_planned_is_said(words: dict[str, object], code: str) -> None:
    with pytest.raises(graphc.GraphError, match=code):
        graphc.plan(ROOT / "models/lenet/deploy.prototxt", **words)


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_the_cpus_plan_is_what_runs(threads: int | None) -> None:
    net = ROOT / "models/squeezenet_v1.1/deploy.prototxt"
    plan = graphc.plan(net, target="cpu", threads=threads)
    assert plan == graphc.compile(net, target="cpu", threads=threads).plan


def test_the_package_is_the_function_as_well() -> None:
    import graphc.plan as package

    assert package.Plan is type(package(ROOT / "models/lenet/deploy.prototxt"))
