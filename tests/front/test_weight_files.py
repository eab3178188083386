"""Weight files of every kind: written by suffix, told apart by content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_graphs import same_weights, small_graph

from graphc.errors import GraphError
from graphc.front.weights import load_weights, read_weights, write_weights

h5py = pytest.importorskip("h5py")
FLOATS = np.arange(6, dtype=np.float32).reshape(2, 3)
SUFFIXES = (".caffemodel", ".h5", ".hdf5", ".safetensors")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    graph, other = small_graph(), small_graph(seed=1)
    path = tmp_path / f"w{suffix}"
    write_weights(graph, path)
    assert not same_weights(graph, other)
    load_weights(other, path)
    assert same_weights(graph, other)
    again = path.read_bytes()
    write_weights(other, path)
    assert path.read_bytes() == again


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_kind_is_told_by_content(tmp_path: Path, suffix: str) -> None:
    write_weights(small_graph(), tmp_path / f"w{suffix}")
    (tmp_path / f"w{suffix}").rename(tmp_path / "weights")
    found = read_weights(tmp_path / "weights")
    assert found["block/conv"][0].shape == (4, 3, 3, 3)
    assert [b.shape for b in found["bn"]] == [(4,), (4,), (1,)]


@pytest.mark.parametrize("suffix", ["", ".npz", ".prototxt"])
def test_unknown_suffix(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(GraphError, match=r"(?s)GC-U001.*caffemodel"):
        write_weights(small_graph(), tmp_path / f"w{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("free", [10, 700, 2000])
def test_full_disk(tmp_path: Path, suffix: str, free: int) -> None:
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from small_graphs import small_graph
from graphc.errors import GraphError
from graphc.front.weights import write_weights
graph = small_graph()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({free}, {free}))
try:
    write_weights(graph, sys.argv[1])
except GraphError as error:
    print(error.code)
"""
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("GC-F002\n", "")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="GC-F001"):
        read_weights(tmp_path / "missing.caffemodel")
