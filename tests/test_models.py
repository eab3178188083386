"""models/: up to date, loadable in both phases, and of exactly the published sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from nets import NETS, build, resnet

import graphc
import models
from graphc.ir.graph import Graph
from graphc.ir.infer import infer
from graphc.ir.op import Kind, Trait

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (\S+) \| ([\dx]+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", re.M)
TABLE = {row[0]: row[1:] for row in ROW.findall((ROOT / "models/README.md").read_text())}

# Multiply-adds, parameters of convolutions and inner products, with those of Scale layers: the
# published counts, as collected in the project's notes on pruning.
PUBLISHED = {
    "lenet": (2_293_000, 431_080, 431_080),
    "caffenet": (724_406_816, 60_965_224, 60_965_224),
    "vgg16": (15_470_264_320, 138_357_544, 138_357_544),
    "resnet20": (40_551_040, 268_346, 269_722),
    "resnet56": (125_485_696, 848_954, 853_018),
    "resnet110": (252_887_680, 1_719_866, 1_727_962),
    "resnet50": (3_857_973_248, 25_503_912, 25_557_032),
    "mobilenet_v1": (568_740_352, 4_210_088, 4_231_976),
    "mobilenet_v2": (300_774_272, 3_470_760, 3_504_872),
}

# GFLOP per image (two per multiply-add) and millions of weights without biases, to the digits
# published.
PER_IMAGE = {
    "alexnet": ("1.449", "61.0"),
    "googlenet": ("3.165", "7.0"),
    "resnet50": ("7.716", "25.5"),
    "squeezenet_v1.1": ("0.775", "1.23"),
    "mobilenet_v1": ("1.137", "4.2"),
    "vgg16": ("30.94", "138"),
}


def load(text: str, folder: Path, phase: str = "TEST") -> Graph:
    path = folder / "net.prototxt"
    path.write_text(text)
    graph = graphc.load(path, phase=phase)
    infer(graph)
    return graph


Counts = tuple[int, int, int]


def counts(graph: Graph) -> Counts:
    """(multiply-adds per image, W + b of the layers that have any, all parameters)."""
    macs = summed = every = 0
    for node in graph.forward_nodes():
        mine = node.op.macs(node.attrs, "forward", node.sig(graph.env))
        sizes = sum(v.type.size for v in node.params.values() if v.kind is Kind.PARAM)
        macs, every = macs + mine, every + sizes
        summed += sizes if mine else 0
    batch = graph.inputs[0].type.shape[0]
    assert macs % batch == 0
    return macs // batch, summed, every


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Callable[[str], Graph]:
    """The deploy net called `name`, loaded once."""
    folder = tmp_path_factory.mktemp("models")
    return cache(lambda name: load(build(name)["deploy.prototxt"], folder))


def test_committed_files_are_what_the_tool_writes():
    assert not models.stale(), "run tools/models.py"
    assert {p.name for p in (ROOT / "models").iterdir() if p.is_dir()} == set(NETS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name, deployed):
    assert counts(deployed(name)) == PUBLISHED[name]


@pytest.mark.parametrize("name", PER_IMAGE)
def test_published_gflop_and_parameters(name, deployed):
    macs, _, _ = counts(deployed(name))
    params = [v.type for n in deployed(name).forward_nodes() for v in n.params.values()]
    weights = sum(t.size for t in params if t.rank > 1)
    for value, text in zip((2 * macs / 1e9, weights / 1e6), PER_IMAGE[name], strict=True):
        digits = len(text.partition(".")[2])
        assert f"{value:.{digits}f}" == text


@pytest.mark.parametrize("name", NETS)
def test_readme_table(name, deployed, tmp_path):
    size, batch, *numbers = TABLE[name]
    assert tuple(int(n.replace(",", "")) for n in numbers) == counts(deployed(name))
    graph = load(build(name)["train.prototxt"], tmp_path)
    shape = (int(batch), *map(int, size.split("x")))
    assert [v.type.shape for v in graph.inputs] == [shape, shape[:1]]


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("name", NETS)
def test_train_nets_end_in_losses(name, phase, tmp_path):
    graph = load(build(name)["train.prototxt"], tmp_path, phase)
    losses = [n for n in graph.nodes if n.has(Trait.LOSS)]
    assert len(losses) == (3 if name == "googlenet" else 1)
    assert all(v.type.shape == () for v in graph.outputs)
    assert (
        len(graph.outputs) > len(losses) if phase == "TEST" else len(graph.outputs) == len(losses)
    )


@pytest.mark.parametrize("name", NETS)
def test_deploy_and_train_have_the_same_parameters(name, tmp_path):
    deploy, train = (
        {
            n.name: [v.type.shape for v in n.params.values()]
            for n in load(text, tmp_path, "TRAIN").forward_nodes()
            if n.params
        }
        for text in map(build(name).get, ("deploy.prototxt", "train.prototxt"))
    )
    extra = {name for name in train if name.startswith(("loss1/", "loss2/"))}
    assert {k: v for k, v in train.items() if k not in extra} == deploy


def test_deep_scheme(tmp_path):
    """ResNet(n1, n2, n3, n4): depth, block names, and an image size that is no multiple of 32."""
    graph = load(resnet((6, 32, 24, 6), True, size=227, batch=2).text(), tmp_path)
    assert graph.name == "ResNet-206"
    weighted = [n for n in graph.forward_nodes() if n.op.macs(n.attrs, "forward", n.sig())]
    shortcuts = [n for n in weighted if n.name.endswith("_branch1")]
    assert len(weighted) - len(shortcuts) == 206 and len(shortcuts) == 4
    assert {"res3b31_branch2c", "res4b23", "res5b5"} <= {n.name for n in graph.nodes}
    assert graph.value("fc1000").type.shape == (2, 1000)


def test_command_prints_a_net(capsys):
    assert models.main(["resnet", "1", "1", "1", "1", "--train", "--batch", "4"]) == 0
    text = capsys.readouterr().out
    assert 'name: "ResNet-14"' in text and "dim: 4 dim: 3 dim: 224 dim: 224" in text


def test_check_notices_edits(tmp_path):
    models.write(tmp_path)
    assert models.stale(tmp_path) == []
    path = tmp_path / "lenet" / "deploy.prototxt"
    path.write_text(path.read_text().replace("20", "21"))
    assert models.stale(tmp_path) == ["lenet/deploy.prototxt"]


# Our net, the public file of the same net, and layers in which they differ for a stated reason.
ZOO = {
    "lenet": ("lenet/lenet.prototxt", ()),
    "cifar10_quick": ("cifar10/cifar10_quick.prototxt", ()),
    "cifar10_full": ("cifar10/cifar10_full.prototxt", ()),
    "alexnet": ("alexnet/deploy.prototxt", ()),
    "caffenet": ("caffenet/deploy.prototxt", ()),
    "googlenet": ("googlenet/deploy.prototxt", ()),
    "resnet50": ("resnet/ResNet-50-deploy.prototxt", ("conv1",)),
    "resnet101": ("resnet/ResNet-101-deploy.prototxt", ()),
    "resnet152": ("resnet/ResNet-152-deploy.prototxt", ()),
    "squeezenet_v1.0": ("squeezenet/squeezenet_v1.0_deploy.prototxt", ()),
    "squeezenet_v1.1": ("squeezenet/squeezenet_v1.1_deploy.prototxt", ()),
    "mobilenet_v1": ("mobilenet/mobilenet_v1_deploy.prototxt", ()),
}


def outline(graph: Graph, skip: tuple[str, ...]) -> list[tuple[object, ...]]:
    """Every layer but the inputs: name, type, blobs, shapes of what it makes and owns."""
    return [
        (
            node.name,
            node.op.type,
            [v.name for v in node.ins.values()],
            [(node.outs[role].name, node.outs[role].type) for role in node.tops],
            [] if node.name in skip else [v.type for v in node.params.values()],
        )
        for node in graph.forward_nodes()
        if not node.has(Trait.FEED)
    ]


@pytest.mark.parametrize("name", ZOO)
def test_same_structure_as_the_public_net(name, shared, tmp_path):
    file, skip = ZOO[name]
    public = graphc.load(shared / "zoo" / file)
    infer(public, batch=1)
    ours = load(build(name)["deploy.prototxt"], tmp_path)
    assert outline(ours, skip) == outline(public, skip)
