"""Damaged files: whatever a file says ends in a GraphError, or works; within bounded time.

GRAPHC_FUZZ_CASES sets the number of cases (default 2,000; tools/nightly runs 20,000). A failure
names its seed: `python -m fuzz.test_mutations KIND SEED` in tests/ repeats it and keeps the file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fuzz.mutations import mutate_archive, mutate_bytes, mutate_text, mutate_weights
from golden.caffe_cases import members

import graphc
from graphc.errors import GraphError
from graphc.front.schema import dialect
from graphc.front.weights import write_safetensors
from graphc.ir.graph import Graph, typed
from graphc.ir.op import Effect
from graphc.ir.verify import verify
from graphc.limits import Limits

CASES = int(os.environ.get("GRAPHC_FUZZ_CASES") or 2000)
SHARES = {"text": 0.45, "weights": 0.2, "hdf5": 0.1, "tensors": 0.05, "artefact": 0.1, "ir": 0.1}
CHUNK = 50
SECONDS = 20.0
MODELS = Path(__file__).resolve().parent.parent.parent / "models"
LARGEST_RUN = 20_000
HDF5 = ("net_inplace_chain", "net_shared_weights", "net_small_cnn_train")


@cache
def texts() -> list[tuple[str, str]]:
    """Prototxts to damage: those of the goldens, and of models/ up to 64 KiB."""
    found = [(n, d.decode()) for n, d in members().items() if n.endswith(".prototxt")]
    found = [(n, t) for n, t in found if "solver" not in n]
    small = [p for p in sorted(MODELS.rglob("*.prototxt")) if p.stat().st_size < 1 << 16]
    return found + [(p.name, p.read_text()) for p in small]


@cache
def pairs() -> list[tuple[str, bytes]]:
    """(prototxt, caffemodel) of the goldens."""
    names = [n for n in members() if n.startswith("layers/") and n.endswith(".caffemodel")]
    found = [
        (members()[n.replace(".caffemodel", ".prototxt")].decode(), members()[n]) for n in names
    ]
    for name in ("net_v0", "net_v1"):
        legacy = members()[f"extras/{name}.legacy.caffemodel"]
        found.append((members()[f"layers/{name}.prototxt"].decode(), legacy))
    return found


@cache
def artefacts() -> list[bytes]:
    """A few compiled networks."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("conv_basic", "bn_train", "net_inception", "lstm"):
            folder = Path(scratch)
            (folder / "net.prototxt").write_bytes(members()[f"layers/{name}.prototxt"])
            exe = graphc.compile(graphc.load(folder / "net.prototxt"), train=True)
            exe.save(folder / "net.gcz")
            found.append((folder / "net.gcz").read_bytes())
    return found


@cache
def tensors() -> bytes:
    """The weights of a small net as safetensors."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "net.prototxt"
        path.write_bytes(members()["layers/net_inception.prototxt"])
        write_safetensors(graphc.load(path), path.with_suffix(".safetensors"))
        return path.with_suffix(".safetensors").read_bytes()


def use(graph: Graph) -> None:
    """Verify a graph that was accepted, and if it is small and needs no files, run it."""
    verify(graph, 2 if graph.shaped else 0)
    if not graph.shaped or any(n.has(Effect.SOURCE) or n.has(Effect.SINK) for n in graph.nodes):
        return
    if sum(typed(v).size for v in graph.values()) > LARGEST_RUN:
        return
    exe = graphc.compile(graph, train=True, passes=())
    exe.forward({name: np.zeros(shape) for name, shape in exe.inputs.items()})
    exe.backward()


def damage_text(rng: np.random.Generator, folder: Path) -> None:
    _, text = texts()[int(rng.integers(len(texts())))]
    path = folder / "net.prototxt"
    path.write_bytes(mutate_text(text, rng).encode("utf-8", "surrogatepass"))
    phase = "TRAIN" if rng.random() < 0.3 else "TEST"
    use(graphc.load(path, phase=phase, limits=Limits.strict()))


def damage_weights(rng: np.random.Generator, folder: Path) -> None:
    text, weights = pairs()[int(rng.integers(len(pairs())))]
    (folder / "net.prototxt").write_text(text)
    if rng.random() < 0.5:
        net = dialect("bvlc").new("NetParameter")
        net.ParseFromString(weights)
        mutate_weights(net, rng)
        weights = net.SerializeToString()
    else:
        weights = mutate_bytes(weights, rng)
    (folder / "net.caffemodel").write_bytes(weights)
    use(
        graphc.load(
            folder / "net.prototxt",
            folder / "net.caffemodel",
            strict=bool(rng.integers(2)),
            limits=Limits.strict(),
        )
    )


def damage_hdf5(rng: np.random.Generator, folder: Path) -> None:
    """Weights as Caffe's HDF5 files hold them."""
    pytest.importorskip("h5py")
    name = HDF5[int(rng.integers(len(HDF5)))]
    (folder / "net.prototxt").write_bytes(members()[f"layers/{name}.prototxt"])
    weights = members()[f"extras/{name}.caffemodel.h5"]
    (folder / "net.caffemodel.h5").write_bytes(mutate_bytes(weights, rng))
    use(graphc.load(folder / "net.prototxt", folder / "net.caffemodel.h5", limits=Limits.strict()))


def damage_tensors(rng: np.random.Generator, folder: Path) -> None:
    """Weights in a safetensors file."""
    (folder / "net.prototxt").write_bytes(members()["layers/net_inception.prototxt"])
    path = folder / "net.safetensors"
    path.write_bytes(mutate_bytes(tensors(), rng))
    use(graphc.load(folder / "net.prototxt", path, limits=Limits.strict()))


def damage_artefact(rng: np.random.Generator, folder: Path) -> None:
    found = artefacts()[int(rng.integers(len(artefacts())))]
    damage = mutate_archive if rng.random() < 0.7 else mutate_bytes
    (folder / "net.gcz").write_bytes(damage(found, rng))
    exe = graphc.open(folder / "net.gcz", limits=Limits.strict())
    exe.forward({name: np.zeros(shape) for name, shape in exe.inputs.items()})


def damage_ir(rng: np.random.Generator, folder: Path) -> None:
    """The text form of a graph, as it lies in an artefact."""
    from graphc.ir.text import print_graph
    from graphc.ir.text_parser import parse_graph
    from graphc.ops.registry import find

    _, text = texts()[int(rng.integers(len(texts())))]
    (folder / "net.prototxt").write_text(text)
    try:
        printed = print_graph(graphc.load(folder / "net.prototxt"))
    except GraphError:
        return
    verify(parse_graph(mutate_text(printed, rng), find, limits=Limits.strict()), 1)


DAMAGE: dict[str, Callable[[np.random.Generator, Path], None]] = {
    "text": damage_text,
    "weights": damage_weights,
    "hdf5": damage_hdf5,
    "tensors": damage_tensors,
    "artefact": damage_artefact,
    "ir": damage_ir,
}


def try_case(kind: str, seed: int, folder: Path) -> None:
    """Run one case; anything but success or a GraphError that prints is a failure."""
    rng = np.random.default_rng([seed, list(DAMAGE).index(kind)])
    started = time.monotonic()
    try:
        DAMAGE[kind](rng, folder)
    except GraphError as error:
        assert str(error)
        assert error.code != "GC-V001" or kind == "ir", f"an invalid graph: {error}"
    spent = time.monotonic() - started
    assert spent < SECONDS, f"took {spent:.1f} s"


CHUNKS = [
    (kind, start) for kind, share in SHARES.items() for start in range(0, int(CASES * share), CHUNK)
]


@pytest.mark.parametrize(("kind", "start"), CHUNKS)
def test_damaged_files(kind: str, start: int, tmp_path: Path) -> None:
    for seed in range(start, min(start + CHUNK, int(CASES * SHARES[kind]))):
        try:
            try_case(kind, seed, tmp_path)
        except Exception as error:
            raise AssertionError(
                f"repeat with: python -m fuzz.test_mutations {kind} {seed}"
            ) from error


def test_undamaged_files_work(tmp_path: Path) -> None:
    """The seeds are good files: damage is what makes them fail."""
    for _, text in texts()[::10]:
        (tmp_path / "net.prototxt").write_text(text)
        graphc.load(tmp_path / "net.prototxt", stages=("a",))
    for text, weights in pairs()[::5]:
        (tmp_path / "net.prototxt").write_text(text)
        (tmp_path / "net.caffemodel").write_bytes(weights)
        graphc.load(tmp_path / "net.prototxt", tmp_path / "net.caffemodel")


if __name__ == "__main__":
    kept = Path(tempfile.mkdtemp(prefix="graphc_fuzz_"))
    print("files in", kept)
    try_case(sys.argv[1], int(sys.argv[2]), kept)
