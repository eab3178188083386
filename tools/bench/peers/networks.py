"""prepare: a deploy prototxt -> weights, inputs, expected outputs, and every engine's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import graphc
from bench.peers.files import Files
from bench.peers.folding import merge_scales
from bench.peers.from_graph import network
from bench.peers.ncnn_writer import write_ncnn
from bench.peers.onnx_writer import write_onnx
from bench.peers.plain import Network
from bench.peers.weights import seed_weights
from graphc.front.caffemodel_writer import write_caffemodel
from graphc.front.export import to_prototxt

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"
STANDARD = ("alexnet", "googlenet", "resnet50", "squeezenet_v1.1", "mobilenet_v1", "vgg16")
COLD = ("squeezenet_v1.1", "resnet50", "alexnet")


def find(name: str) -> Path:
    """The deploy prototxt of a network in models/, or a path to one. Raises FileNotFoundError."""
    path = MODELS / name / "deploy.prototxt"
    if path.is_file():
        return path
    if name.endswith(".prototxt") and Path(name).is_file():
        return Path(name).resolve()
    known = ", ".join(sorted(p.name for p in MODELS.iterdir() if p.is_dir()))
    raise FileNotFoundError(f"no network {name!r}; name a .prototxt or one of {known}")


def label(name: str) -> str:
    """What tables call a network: its name in models/, or the file's."""
    return Path(name).stem if name.endswith(".prototxt") else name


def prepare(source: Path, batches: Sequence[int], seed: int, folder: Path) -> Network:
    """Write all `Files` of a network into `folder`; returns it for its sizes.

    Raises Unsupported, ValueError and GraphError.
    """
    files = Files(folder)
    graph = graphc.load(source, batch=1)
    seed_weights(graph, seed)
    plain = merge_scales(network(graph))
    plain.save(folder)
    write_caffemodel(graph, files.caffemodel)
    write_ncnn(plain, files.ncnn_param, files.ncnn_weights)
    for batch in batches:
        files.prototxt(batch).write_text(to_prototxt(graphc.load(source, batch=batch)), "utf-8")
        write_onnx(plain, batch, files.onnx(batch))
    graphc.compile(graph, target="cpu", threads=1).save(files.artefact)  # as cold starts run it
    oracle = graphc.compile(graph, target="reference", passes=())
    for batch in batches:
        rng = np.random.default_rng([seed, batch])
        given = rng.standard_normal((batch, *plain.shape[1:]), np.float32)
        np.save(files.inputs(batch), given)
        outs = [oracle.run({plain.input: given[i : i + 1]}) for i in told_images(batch)]
        np.save(files.expected(batch), np.concatenate([out[plain.output] for out in outs]))
    return plain


def told_images(batch: int) -> list[int]:
    """The images whose outputs are checked."""
    return sorted({0, batch - 1})
