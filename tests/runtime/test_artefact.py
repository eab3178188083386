"""The artefact: what went in comes out, the same bytes each time, and nothing odd is let in."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from small_graphs import Builder, attrs, same_weights, shape, small_graph

from graphc.errors import GraphError
from graphc.ir.op import Kind
from graphc.ir.text import print_graph
from graphc.limits import Limits
from graphc.runtime.artefact import read_artefact, write_artefact

META = {"train": False, "seed": 3, "note": "\u2603"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_artefact(tmp_path / "a.gcz", small_graph(), META)
    return tmp_path / "a.gcz"


def test_round_trip(path: Path) -> None:
    graph = small_graph()
    again, meta = read_artefact(path)
    assert print_graph(again) == print_graph(graph)
    assert same_weights(again, graph)
    assert again.history == graph.history and again.notes == graph.notes
    assert meta == META
    assert all(w.flags.writeable and w.flags.owndata for w in again.weights.values())


def test_same_graph_same_bytes(path: Path, tmp_path: Path) -> None:
    write_artefact(tmp_path / "b.gcz", small_graph(), dict(reversed(META.items())))
    assert (tmp_path / "b.gcz").read_bytes() == path.read_bytes()


def test_recipe_is_a_member(tmp_path: Path) -> None:
    write_artefact(tmp_path / "a.gcz", small_graph(), {"recipe": 'name = "x"\n', "k": [1]})
    assert zipfile.ZipFile(tmp_path / "a.gcz").read("recipe.toml") == b'name = "x"\n'
    assert read_artefact(tmp_path / "a.gcz")[1] == {"recipe": 'name = "x"\n', "k": [1]}


def test_members_are_open_formats(path: Path) -> None:
    """Other programs can read them: a plain ZIP with safetensors in it."""
    safetensors = pytest.importorskip("safetensors.numpy")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
        weights = safetensors.load(archive.read("weights.safetensors"))
    graph = small_graph()
    assert weights.keys() == graph.weights.keys()
    assert all(np.array_equal(weights[n], graph.weights[n]) for n in weights)


def test_carried_state_starts_from_zero(tmp_path: Path) -> None:
    b = Builder()
    both = attrs("Input", shape=(shape(2, 1, 3), shape(2, 1)))
    b.add("Input", "in", [], ["x", "cont"], attrs=both)
    b.add("LSTM", "lstm", ["x", "cont"], ["h"], attrs=attrs("LSTM", num_output=2))
    graph = b.done()
    carries = [v.name for v in graph.param_values() if v.kind is Kind.CARRY]
    assert carries
    write_artefact(tmp_path / "a.gcz", graph)
    again, _ = read_artefact(tmp_path / "a.gcz")
    assert not any(again.weights[name].any() for name in carries)
    assert same_weights(again, graph)


def test_paths_within_are_confined(path: Path) -> None:
    graph, _ = read_artefact(path)
    for name in ("../a", "/etc/passwd"):
        with pytest.raises(GraphError, match="GC-F003"):
            graph.env.resolve(name)
    assert graph.env.resolve("a.gcz") == path.resolve()


def test_an_unshaped_graph_is_refused(tmp_path: Path) -> None:
    b = Builder()
    b.add("Input", "in", [], ["x"])
    with pytest.raises(GraphError, match="GC-S004"):
        write_artefact(tmp_path / "a.gcz", b.graph)
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_refused_and_the_old_file_stays(path: Path) -> None:
    graph, old = small_graph(), path.read_bytes()
    del graph.weights["fc:bias"]
    with pytest.raises(GraphError, match="GC-W002.*fc:bias"):
        write_artefact(path, graph)
    with pytest.raises(GraphError, match="GC-R002"):
        write_artefact(path, small_graph(), {"x": object()})
    assert path.read_bytes() == old


@pytest.mark.parametrize("free", [10, 1000, 4500])
def test_full_disk(path: Path, free: int) -> None:
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from small_graphs import small_graph
from graphc.errors import GraphError
from graphc.runtime.artefact import write_artefact
graph = small_graph()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({free}, {free}))
try:
    write_artefact(sys.argv[1], graph)
except GraphError as error:
    print(error.code)
"""
    old = path.read_bytes()
    assert free < len(old)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("GC-F002\n", "")
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == ["a.gcz"]


def test_reading_imports_neither_protobuf_nor_front_nor_passes(path: Path) -> None:
    script = (
        "import sys\n"
        "from graphc.runtime.artefact import read_artefact\n"
        "read_artefact(sys.argv[1])\n"
        "bad = ('google.protobuf', 'graphc.front', 'graphc.passes')\n"
        "print([m for m in sys.modules if m.startswith(bad)])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], **words: Any) -> None:
    """The artefact with other content, otherwise in order."""
    found = members(path)
    change(found)
    with zipfile.ZipFile(path, "w", words.pop("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in found.items():
            archive.writestr(name, data)


def put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda found: found.update({name: data})


def swap(name: str, old: str, new: str) -> Callable[[dict[str, bytes]], None]:
    def change(found: dict[str, bytes]) -> None:
        assert old.encode() in found[name]
        found[name] = found[name].replace(old.encode(), new.encode(), 1)

    return change


HOSTILE = {
    "surplus": put("evil.py", b"x"),
    "climbing": put("../graph.txt", b"x"),
    "no graph": lambda m: m.pop("graph.txt"),
    "no weights": lambda m: m.pop("weights.safetensors"),
    "other format": swap("meta.json", '"format": 1', '"format": 2'),
    "no format": put("meta.json", b"{}"),
    "meta is a list": put("meta.json", b"[]"),
    "meta is deep": put("meta.json", b"[" * 100_000),
    "meta is no text": put("meta.json", b"\xff\xfe"),
    "graph is no text": put("graph.txt", b"\xff"),
    "graph is empty": put("graph.txt", b""),
    "weights are empty": put("weights.safetensors", b""),
    "unknown tensor": swap("weights.safetensors", "fc:bias", "fc:bia5"),
    "other shape": swap("graph.txt", "f32[5,64]", "f32[64,5]"),
    "wrong type of top": swap("graph.txt", '"fc" f32[2,5]', '"fc" f32[2,6]'),
    "impossible attribute": swap("graph.txt", "attr kernel_size=(3)", "attr stride=(0)"),
    "negative count": swap("graph.txt", "num_output=4", "num_output=-4"),
    "huge count": swap("graph.txt", "num_output=4", "num_output=4611686018427387904"),
    "wrong role": swap("graph.txt", 'in x "conv@bn"', 'in z "conv@bn"'),
    "cycle": swap("graph.txt", 'in x "conv@bn"', 'in x "conv"'),
    "history is a number": put("provenance.json", b'{"history": 3}'),
    "history of numbers": put("provenance.json", b'{"history": [3]}'),
    "detail is a number": put("provenance.json", b'{"history": [{"detail": 3}]}'),
    "notes are a text": put("provenance.json", b'{"notes": "x"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content(path: Path, name: str) -> None:
    rewrite(path, HOSTILE[name])
    with pytest.raises(GraphError) as caught:
        read_artefact(path)
    assert caught.value.code == "GC-A001", str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_layer_type(path: Path) -> None:
    rewrite(path, swap("graph.txt", "SoftmaxWithLoss", "SoftmaxWithLos"))
    with pytest.raises(GraphError, match="GC-N001.*SoftmaxWithLos"):
        read_artefact(path)


def test_compressed_members(path: Path) -> None:
    rewrite(path, lambda m: None, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(GraphError, match="GC-A001.*compressed"):
        read_artefact(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("graph.txt", "x")
    with pytest.raises(GraphError, match="GC-A001.*surplus"):
        read_artefact(path)


def edit(path: Path, offset: int, data: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(data)] = data
    path.write_bytes(raw)


def test_edits_of_the_container(path: Path) -> None:
    good = path.read_bytes()
    first = zipfile.ZipFile(path).infolist()[0]
    end = len(good) - 22
    directory = int.from_bytes(good[end + 16 : end + 20], "little")
    for offset, data in {
        6: b"\x01\x00",  # local flags: encrypted
        8: b"\x08\x00",  # local method: deflated
        30: b"M",  # local name
        directory + 8: b"\x01\x00",  # flags in the directory
        directory + 20: b"\xff\xff\xff\x00",  # compressed size
        directory + 24: b"\xff\xff\xff\x00",  # size
        directory + 42: b"\xf0\xff\xff\x7f",  # where the member lies
        first.header_offset + 60: b"~",  # content, against the checksum
        end: b"PK\x05\x07",
        end + 12: b"\xff\xff\xff\x7f",  # size of the directory
        end + 20: b"\x01\x00",  # a comment
    }.items():
        path.write_bytes(good)
        edit(path, offset, data)
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)


def test_data_after_and_before_the_archive(path: Path) -> None:
    good = path.read_bytes()
    for bad in (good + b"x", b"x" + good, b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(bad)
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)


def test_limits(path: Path) -> None:
    for limits in (Limits(text_bytes=500), Limits(tensor_bytes=100), Limits(layers=2)):
        with pytest.raises(GraphError, match="GC-L001"):
            read_artefact(path, limits)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for name in ("missing.gcz", "."):
        with pytest.raises(GraphError, match="GC-F001"):
            read_artefact(tmp_path / name)


def test_every_truncation(path: Path) -> None:
    good = path.read_bytes()
    step = max(1, len(good) // 1500)
    for end in range(0, len(good), step):
        path.write_bytes(good[:end])
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)


def test_mutations(path: Path) -> None:
    """The checksum finds what the directory does not; so mutate members, too."""
    good, parts = path.read_bytes(), members(path)
    refused = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        if seed % 2:
            path.write_bytes(mutate_bytes(good, rng))
        else:
            name = list(parts)[seed // 2 % len(parts)]
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for key, data in parts.items():
                    archive.writestr(key, mutate_bytes(data, rng) if key == name else data)
            path.write_bytes(buffer.getvalue())
        try:
            read_artefact(path, Limits.strict())
        except GraphError as error:
            refused += 1
            assert str(error)
    assert refused > 150


def test_train_graph(tmp_path: Path) -> None:
    from graphc.autodiff import differentiate

    graph = differentiate(small_graph())
    write_artefact(tmp_path / "a.gcz", graph, {"train": True})
    again, meta = read_artefact(tmp_path / "a.gcz")
    assert print_graph(again) == print_graph(graph) and meta == {"train": True}


def test_provenance_is_plain_json(path: Path) -> None:
    told = json.loads(members(path)["provenance.json"])
    assert told["history"][0]["name"] == "fold" and told["notes"] == ["a note, with \u2603"]
