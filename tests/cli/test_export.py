"""graphc export: compressed networks as plain Caffe reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from texts import conv, fc, feed, layer

import graphc
from graphc.errors import GraphError
from graphc.front.schema import dialect

NET = feed(data=(1, 8, 9, 9)) + conv("data", "a", 16) + conv("a", "b", 16) + fc("b", "y", 20)
PASSES = (
    "remove_filters:ratio=0.25",
    "low_rank:method=pca,rank=4,when=always,layers=b",
    "prune_weights:sparsity=0.8",
)
CASES = {"direct": "DIRECT_SCONV", "csr": "SPMDM", "compact": "LOWERED_CCNMM"}


def strict(path: str) -> object:
    """Read as BVLC's Caffe would: unknown fields and values are errors."""
    return text_format.Parse(Path(path).read_text(), dialect("bvlc").new("NetParameter"))


def made(cli, layout: str) -> None:
    Path("net.prototxt").write_text(NET)
    words = [w for spec in PASSES for w in ("--pass", spec)]
    words += ["--pass", f"sparse_layout:layout={layout},when=always"]
    done = cli("compile", "net.prototxt", "-o", "net.gcz", *words)
    assert done.code == 0, done.err


@pytest.mark.parametrize("layout", CASES)
def test_plain_caffe_reads_it_and_compare_agrees(cli, layout):
    made(cli, layout)
    done = cli("export", "net.gcz", "-o", "small")
    assert done.code == 0, done.err
    assert "wrote small.prototxt" in done.out and "wrote small.caffemodel" in done.out
    strict("small.prototxt")
    same = cli("compare", "net.gcz", "small.prototxt", "--weights-b", "small.caffemodel")
    assert same.code == 0, same.out + same.err
    kept = cli("export", "net.gcz", "-o", "kept", "--modes", "--json")
    assert kept.json == {"files": ["kept.prototxt", "kept.caffemodel"]}
    assert CASES[layout] in Path("kept.prototxt").read_text()
    with pytest.raises(text_format.ParseError, match="_mode"):
        strict("kept.prototxt")


def test_in_python(cli):
    made(cli, "direct")
    cli("export", "net.gcz", "-o", "kept", "--modes")
    files = graphc.export("kept.prototxt", "plain", weights="kept.caffemodel")
    assert [path.name for path in files] == ["plain.prototxt", "plain.caffemodel"]
    strict("plain.prototxt")
    graph = graphc.load("kept.prototxt", "kept.caffemodel")
    assert graph.nodes[1].attrs.conv_mode == "DIRECT_SCONV"
    graphc.export(graph, "again")
    assert graph.nodes[1].attrs.conv_mode == "DIRECT_SCONV"  # a graph stays as it is
    assert Path("again.prototxt").read_text() == Path("plain.prototxt").read_text()


def test_a_folder_that_is_not_there(cli):
    Path("net.prototxt").write_text(NET)
    done = cli("export", "net.prototxt", "-o", "no/where")
    assert "GC-F002" in done.err and "no folder 'no'" in done.err and done.code
    with pytest.raises(GraphError, match="no folder"):
        graphc.export("net.prototxt", "no/where")


EXTENDED = {
    "Gate": layer("Gate", "data", "y"),
    "ReLU6": layer("ReLU6", "data", "y"),
    "BilinearProjection": layer(
        "BilinearProjection", "data", "y",
        "bilinear_param { in_h: 8 in_w: 81 out_h: 2 out_w: 3 }",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTENDED)
def test_a_layer_that_caffe_lacks(cli, name):
    Path("net.prototxt").write_text(feed(data=(1, 8, 9, 9)) + EXTENDED[name])
    done = cli("export", "net.prototxt", "-o", "plain")
    assert done.code == 4 and "GC-U001" in done.err and "--allow-extensions" in done.err
    assert f"layer 'y' ({name}): plain Caffe lacks this type" in done.err
    assert not Path("plain.prototxt").exists() and not Path("plain.caffemodel").exists()
    done = cli("export", "net.prototxt", "-o", "kept", "--allow-extensions")
    assert done.code == 0, done.err
    assert f'type: "{name}"' in Path("kept.prototxt").read_text()
    assert graphc.export("net.prototxt", "kept", allow_extensions=True)
    cli("compile", "net.prototxt", "-o", "net.gcz", "--pass", "merge_gates")
    done = cli("export", "net.gcz", "-o", "plain")
    assert done.code == 0, done.err
    strict("plain.prototxt")
