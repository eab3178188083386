"""Weights of an artefact are its file, mapped: nothing is copied, no write reaches it."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mappings import address, kib_of, mapping_at, needs_smaps
from small_graphs import small_graph

import graphc
from graphc.errors import GraphError
from graphc.runtime.artefact import read_artefact, write_artefact
from graphc.tensorfile import ALIGN

# The convolution's weights are 2304 KiB, which only packing reads; the product's are 128 KiB.
NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 256 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 256 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
        inner_product_param { num_output: 33 weight_filler { type: "xavier" } } }
"""
X = {"x": np.random.default_rng(0).standard_normal((1, 256, 4, 4)).astype(np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "n.prototxt").write_text(NET)
    graphc.compile(tmp_path / "n.prototxt", target="cpu").save(tmp_path / "n.gcz")
    return tmp_path / "n.gcz"


def _unaligned(path: Path) -> Path:
    """The artefact as other programs, and older versions, write it: members where they fall."""
    other = path.with_name("other.gcz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    return other


@pytest.mark.parametrize("batch", [None, 1])
def test_weights_lie_in_the_file(path: Path, batch: int | None) -> None:
    needs_smaps()
    exe = graphc.open(path, batch=batch)
    before = {name: address(array) for name, array in exe.graph.weights.items()}
    exe.run(X)
    arrays = [*exe.graph.weights.values(), *(a for each in exe.params.values() for a in each)]
    assert all(mapping_at(address(array)) == (str(path), "rw-p") for array in arrays)
    assert before == {name: address(array) for name, array in exe.graph.weights.items()}
    assert kib_of(path, "Private_Dirty") == 0


def test_tensors_begin_at_lines_of_the_file(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("weights.safetensors")
        raw = path.read_bytes()
        header = raw[info.header_offset :]
        start = info.header_offset + 30 + int.from_bytes(header[26:28], "little")
        start += int.from_bytes(header[28:30], "little")
    assert start % ALIGN == 0
    graph, _ = read_artefact(path)
    for name, array in graph.weights.items():
        at = raw.index(array.tobytes())
        assert at % ALIGN == 0 or array.nbytes % ALIGN, f"{name} lies at {at}"


@pytest.mark.parametrize("batch", [None, 1])
def test_only_packed_weights_leave_memory(path: Path, batch: int | None) -> None:
    """Those that the forward itself reads stay."""
    needs_smaps()
    exe = graphc.open(path, batch=batch)
    exe.run(X)
    exe.graph.weights["ip:weight"].sum()
    kept = kib_of(path, "Rss")
    assert 128 <= kept < 600
    assert exe.graph.weights["conv:weight"].std() > 0
    assert kib_of(path, "Rss") >= kept + 2000


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_writing_counts_and_stays_out_of_the_file(path: Path, target: str) -> None:
    raw, first, second = path.read_bytes(), graphc.open(path, target=target), graphc.open(path)
    old = first.run(X)["ip"]
    weight = first.params["conv"][0]
    before = weight.copy()
    weight[7] *= 2
    del weight
    new = first.run(X)["ip"]
    assert not np.allclose(new, old)
    np.testing.assert_array_equal(first.run(X)["ip"], new)
    np.testing.assert_array_equal(first.params["conv"][0][7], before[7] * 2)
    np.testing.assert_array_equal(first.params["conv"][0][8:], before[8:])
    np.testing.assert_allclose(second.run(X)["ip"], old, 1e-4, 1e-5)
    assert path.read_bytes() == raw


def test_what_was_written_before_the_first_run_survives_packing(path: Path) -> None:
    exe = graphc.open(path)
    exe.params["conv"][0][3, 5] = 0.5
    exe.run(X)
    assert (exe.params["conv"][0][3, 5] == 0.5).all()


def test_statistics_of_the_net_stay_out_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }\n'
        'layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y"\n'
        "        batch_norm_param { use_global_stats: false } }\n"
    )
    path = tmp_path / "n.gcz"
    graphc.compile(tmp_path / "n.prototxt", target="cpu").save(path)
    raw, exe = path.read_bytes(), graphc.open(path)
    exe.run({"x": np.arange(12, dtype=np.float32).reshape(4, 3)})
    assert exe.params["bn"][2] != 0
    assert path.read_bytes() == raw


def test_an_unaligned_artefact_is_copied(path: Path) -> None:
    other = graphc.open(_unaligned(path))
    assert all(array.flags.aligned for array in other.graph.weights.values())
    np.testing.assert_array_equal(other.run(X)["ip"], graphc.open(path).run(X)["ip"])


def test_a_replaced_file_changes_nothing(path: Path) -> None:
    expected = graphc.open(path).run(X)["ip"]
    exe = graphc.open(path)
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").write_bytes(bytes(path.stat().st_size))
    os.replace(path.with_name("copy"), path)
    np.testing.assert_array_equal(exe.run(X)["ip"], expected)


def test_saving_over_its_own_file(path: Path) -> None:
    exe = graphc.open(path)
    expected = exe.run(X)["ip"]
    exe.save(path)
    np.testing.assert_array_equal(exe.run(X)["ip"], expected)
    np.testing.assert_array_equal(graphc.open(path).run(X)["ip"], expected)


def test_every_byte_of_the_weights_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.gcz"
    write_artefact(path, small_graph())
    good = path.read_bytes()
    start = good.index(b'"data_offsets"')
    end = good.rindex(b"PK\x01\x02", 0, good.index(b"PK\x01\x02") + 4)
    for at in range(start, end, 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        with pytest.raises(GraphError, match=r"GC-A001.*wrong checksum"):
            read_artefact(path)
