"""The artefact: what went in comes out, the same bytes each time, and nothing odd is let in."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_graphs import Builder, attrs, same_weights, shape, small_graph

from graphc.errors import GraphError
from graphc.ir.op import Kind
from graphc.ir.text import print_graph
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
    assert all(w.flags.writeable and w.flags.aligned for w in again.weights.values())


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
    with pytest.raises(GraphError, match=r"GC-W002.*fc:bias"):
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


def test_train_graph(tmp_path: Path) -> None:
    from graphc.autodiff import differentiate

    graph = differentiate(small_graph())
    write_artefact(tmp_path / "a.gcz", graph, {"train": True})
    again, meta = read_artefact(tmp_path / "a.gcz")
    assert print_graph(again) == print_graph(graph) and meta == {"train": True}


def test_provenance_is_plain_json(path: Path) -> None:
    told = json.loads(zipfile.ZipFile(path).read("provenance.json"))
    assert told["history"][0]["name"] == "fold" and told["notes"] == ["a note, with \u2603"]
