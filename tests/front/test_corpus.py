"""Every prototxt of the shared folder, against real Caffe's account of it where there is one."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import GraphError
from graphc.front import parse_net, read_net
from graphc.front.blobs import blob_names
from graphc.front.dialect import decode_binary
from graphc.front.net import is_binary
from graphc.front.prototxt import decode_text
from graphc.ir.graph import Graph
from graphc.ir.versions import blob_of

Wiring = list[tuple[str, str, list[str], list[str]]]


def without_implicit_splits(layers: list[dict[str, object]], explicit: set[str]) -> Wiring:
    """Caffe's layers with every Split that it added itself undone."""
    source: dict[str, str] = {}
    out: Wiring = []
    for entry in layers:
        name, kind = str(entry["name"]), str(entry["type"])
        bottoms = [source.get(b, b) for b in entry["bottoms"]]  # type: ignore[attr-defined]
        tops = [str(t) for t in entry["tops"]]  # type: ignore[attr-defined]
        if kind == "Split" and name not in explicit:
            source.update(dict.fromkeys(tops, bottoms[0]))
        else:
            out.append((name, kind, bottoms, tops))
    return out


def wiring(graph: Graph) -> Wiring:
    names = blob_names(graph)
    hidden = {f"{n.name}:{n.tops[0]}" for n in graph.nodes if n.tops}
    out: Wiring = []
    for node in graph.nodes:
        tops = [names[node.outs[role]] for role in node.tops]
        tops = ["(automatic)" if t in hidden else t for t in tops]
        out.append((node.name, node.op.type, [names[v] for v in node.ins.values()], tops))
    return out


def test_golden_nets_are_wired_as_caffe_wires_them(shared: Path) -> None:
    paths = sorted(shared.glob("golden/layers/*.prototxt"))
    assert len(paths) == 254
    for path in paths:
        meta = json.loads(str(np.load(path.with_suffix(".npz"))["meta"]))
        graph = read_net(
            path, phase=meta["phase"], level=meta["level"], stages=tuple(meta["stages"])
        )
        explicit = {n.name for n in graph.nodes if n.op.type == "Split"}
        assert wiring(graph) == without_implicit_splits(meta["layers"], explicit), path
        splits = {
            top: str(e["bottoms"][0])
            for e in meta["layers"]
            if e["type"] == "Split" and e["name"] not in explicit
            for top in e["tops"]
        }
        assert [v.name for v in graph.outputs] == sorted(
            splits.get(name, name) for name in meta["net_outputs"]
        ), path
        assert [blob_of(v) for v in graph.inputs] == meta["net_inputs"], path


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_zoo(shared: Path, phase: str) -> None:
    paths = [p for p in sorted(shared.glob("zoo/*/*.prototxt")) if "solver" not in p.name]
    assert len(paths) == 26
    for path in paths:
        stages = ("test-on-test",) if "autoencoder" in path.name and phase == "TEST" else ()
        graph = read_net(path, phase=phase, stages=stages)  # type: ignore[arg-type]
        assert graph.nodes and graph.outputs and not graph.notes, path


def test_solvers_are_told_from_nets(shared: Path) -> None:
    for path in sorted(shared.glob("zoo/*/*solver*.prototxt")):
        with pytest.raises(GraphError, match=r"GC-P001.*\n.*solver"):
            read_net(path)


def test_files(tmp_path: Path) -> None:
    def refused(name: str, data: bytes) -> GraphError:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(GraphError) as error:
            read_net(path)
        assert error.value.loc is not None and error.value.loc.file == str(path)
        return error.value

    assert refused("a.prototxt", b"").code == "GC-P001"
    assert refused("b.prototxt", b"# nothing\n").code == "GC-P001"
    assert refused("c", b"\x89HDF\r\n\x1a\n\0\0").code == "GC-P002"
    assert refused("d.caffemodel", b"layer { }").code == "GC-P002"
    assert refused("e.prototxt", b"\x0a\x03abc").code == "GC-P001"
    with pytest.raises(GraphError, match="GC-F001"):
        read_net(tmp_path / "missing.prototxt")
    with pytest.raises(GraphError, match="GC-F001"):
        read_net(tmp_path)


def test_binaries_are_recognised() -> None:
    assert is_binary(memoryview(b"\x0a\x03net\xa2\x06\x00"))
    assert not is_binary(memoryview(b"\xef\xbb\xbfname: 'caf\xe9'\r\n\f# end\x1a"))
    assert is_binary(memoryview(b"name"), ".caffemodel")
    assert not is_binary(memoryview(b"\x00"), ".prototxt")


PIECES = [b"{", b"}", b"<", b"[", b'"', b"'", b"#", b"\n", b":", b"-", b"\\", b"\xff", b"\0"]
PIECES += [b"layer", b"layers", b"layer {", b"top: 'data'", b"bottom: 'data'", b"1e999", b"nan"]
PIECES += [b"-1", b"4294967296", b"9" * 400, b"input: 'q'", b"input_dim: 3", b"blobs { data: 1 }"]
PIECES += [b"loss_weight: 1", b"propagate_down: true", b"include { phase: TRAIN }", b"type: ''"]
PIECES += [b"phase: TEST", b"param { name: 'w' }", b"type: 'Split'", b"name: 'data'"]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes lost, doubled, swapped or replaced by pieces of the language."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice([0, 1, 2, 8, 40]))
        choice = rng.random()
        if choice < 0.3:
            del out[at:end]
        elif choice < 0.5:
            out[at:at] = out[at:end]
        elif choice < 0.9:
            out[at:end] = rng.choice(PIECES)
        else:
            out[at:end] = rng.randbytes(end - at)
    return bytes(out)


def test_mutated_nets_end_well_or_in_a_graph_error(shared: Path) -> None:
    rng = random.Random(1)
    paths = sorted(shared.glob("golden/layers/*.prototxt"))
    refused = 0
    for _ in range(1_000):
        data = mutated(rng.choice(paths).read_bytes(), rng)
        try:
            parse_net(decode_text(data), phase=rng.choice(["TRAIN", "TEST"]))  # type: ignore[arg-type]
        except GraphError as error:
            refused += 1
            assert str(error)
    assert 300 < refused < 1_000


def test_mutated_binaries_end_well_or_in_a_graph_error(shared: Path) -> None:
    rng = random.Random(2)
    paths = sorted(shared.glob("golden/layers/*.caffemodel"))
    refused = 0
    for _ in range(300):
        data = mutated(rng.choice(paths).read_bytes(), rng)
        try:
            decode_binary(data)
        except GraphError:
            refused += 1
    assert 100 < refused < 300
