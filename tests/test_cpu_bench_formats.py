"""What the CPU benchmark writes for the peers: the same network in every format."""

from __future__ import annotations

import ast
import os
import struct
import sys
from pathlib import Path

import numpy as np
import onnx_reader
import pytest
from bench.peers import networks, plain
from bench.peers.client import EngineMissing, Worker, environment
from bench.peers.engines import ENGINES, OURS
from bench.peers.files import Files
from bench.peers.folding import fold, merge_scales
from bench.peers.from_graph import Unsupported, network
from bench.peers.ncnn_writer import write_ncnn
from bench.peers.onnx_writer import write_onnx
from bench.peers.rounds import relative_error
from bench.peers.weights import seed_weights
from texts import conv, fc, feed, graph, layer

import graphc

PEERS = os.environ.get("GRAPHC_BENCH_PYTHON", sys.executable)
FOLDER = Path(networks.__file__).parent


def pool(bottom: str, top: str, field: str) -> str:
    return layer("Pooling", bottom, top, f"pooling_param {{ {field} }}")


def scale(bottom: str, top: str, field: str = "bias_term: true") -> str:
    return layer("Scale", bottom, top, f"scale_param {{ {field} }}", name=f"{top}_scale")


# Every kind of layer; each pooling rounds in another way.
EVERY = (
    feed(data=(1, 4, 13, 12))
    + layer(
        "Convolution",
        "data",
        "c1",
        "convolution_param { num_output: 6 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 "
        "pad_h: 1 pad_w: 0 group: 2 bias_term: false }",
    )
    + layer("BatchNorm", "c1", "c1", name="c1_bn")
    + scale("c1", "c1")
    + layer("ReLU", "c1", "c1", name="c1_relu")
    + layer("LRN", "c1", "n1", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }")
    + pool("n1", "p1", "pool: MAX kernel_size: 3 stride: 2")
    + pool("n1", "p2", "pool: MAX kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR")
    + conv("p1", "c2", 5, 1)
    + layer("ReLU", "c2", "c2", "relu_param { negative_slope: 0.25 }", name="c2_relu")
    + layer("BatchNorm", "p1", "b2")
    + layer("Concat", "c2 b2", "cat")
    + pool("cat", "m1", "pool: AVE kernel_size: 2 stride: 2")
    + scale("m1", "s1", "bias_term: false")
    + conv("m1", "c3", 11, 1)
    + layer("Eltwise", "s1 c3", "sum")
    + layer("ReLU", "sum", "sum", name="sum_relu")
    + pool("p2", "m2", "pool: AVE kernel_size: 3 stride: 1 pad: 1")
    + pool("m2", "g2", "pool: AVE global_pooling: true")
    + pool("sum", "g1", "pool: MAX global_pooling: true")
    + layer("Concat", "g1 g2", "both")
    + layer("Dropout", "both", "both", name="drop")
    + fc("both", "ip", 7)
    + layer("Softmax", "ip", "prob")
)

# OpenCV's importer knows no round_mode, no LRN with another k than 1, and no global maximum whose
# `pool` is the default.
NARROW = EVERY.replace(" round_mode: FLOOR", "").replace("MAX global", "AVE global")
NARROW = NARROW.replace(" k: 2", "")


def prepared(text: str, folder: Path) -> tuple[Files, plain.Network]:
    (folder / "every.prototxt").write_text(text)
    return Files(folder), networks.prepare(folder / "every.prototxt", (1, 3), 5, folder)


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, plain.Network]:
    return prepared(EVERY, tmp_path_factory.mktemp("every"))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, plain.Network]:
    return prepared(NARROW, tmp_path_factory.mktemp("narrow"))


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_computes_what_the_reference_does(every, batch: int) -> None:
    files, _ = every
    model = onnx_reader.read(files.onnx(batch))
    assert model.opset == 17
    assert (model.inputs, model.outputs) == ({"data": [batch, 4, 13, 12]}, {"prob": [batch, 7]})
    y = onnx_reader.evaluate(model, {"data": np.load(files.inputs(batch))})["prob"]
    assert relative_error(y, np.load(files.expected(batch)), batch) < 1e-6
    assert {node.op for node in model.nodes} == set(onnx_reader.OPS)


def test_onnx_is_valid(every) -> None:
    onnx = pytest.importorskip("onnx")
    files, _ = every
    onnx.checker.check_model(str(files.onnx(3)), full_check=True)


@pytest.mark.parametrize("size", range(5, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 3)])
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("rounding", ["CEIL", "FLOOR"])
def test_rounding_down_after_the_written_padding_gives_caffes_windows(
    size: int, kernel: int, stride: int, pad: int, rounding: str
) -> None:
    field = f"kernel_size: {kernel} stride: {stride} pad: {pad} round_mode: {rounding}"
    net = network(graph(feed(data=(1, 1, size, size)), pool("data", "y", field)))
    (made,) = net.layers
    begin, end = made.options["begin"][0], made.options["end"][0]
    assert (size + begin + end - kernel) // stride + 1 == made.shape[2]
    assert 0 <= end < kernel and begin == pad


@pytest.mark.parametrize("name", [name for name in ENGINES if name not in (OURS, "caffe")])
@pytest.mark.parametrize("batch", [1, 3])
def test_peers_compute_what_the_reference_does(name: str, batch: int, request) -> None:
    """Those that this Python has, or that of GRAPHC_BENCH_PYTHON."""
    with Worker(name, PEERS, environment(1, False), 60) as worker:
        try:
            worker.ask("hello")
        except EngineMissing as error:
            pytest.skip(str(error))
        files, _ = request.getfixturevalue("narrow" if name == "opencv" else "every")
        worker.ask("load", folder=str(files.folder), batch=batch, threads=1)
        path = files.folder / "y.npy"
        assert worker.ask("output", path=str(path))["written"]
        assert relative_error(np.load(path), np.load(files.expected(batch)), batch) < 1e-5


def test_saved_networks_are_read_back(every) -> None:
    files, made = every
    back = plain.load(files.folder)
    assert (back.name, back.input, back.shape, back.output) == (
        made.name,
        made.input,
        made.shape,
        made.output,
    )
    assert back.weight_bytes() == made.weight_bytes() > 0
    for mine, theirs in zip(made.layers, back.layers, strict=True):
        assert (mine.kind, mine.ins, mine.out, mine.shape) == (
            theirs.kind,
            theirs.ins,
            theirs.out,
            theirs.shape,
        )
        assert mine.options == theirs.options
        for role, array in mine.arrays.items():
            np.testing.assert_array_equal(array, theirs.arrays[role])
            assert theirs.arrays[role].ctypes.data % 4 == 0 and theirs.arrays[role].flags.writeable


def test_folding(every, tmp_path: Path) -> None:
    """The folded network computes the same with fewer layers."""
    files, made = every
    folded = fold(made)
    kinds = [entry.kind for entry in folded.layers]
    assert kinds.count("batch_norm") == 1 and kinds.count("scale") == 1  # what no product precedes
    assert len(folded.layers) == len(made.layers) - 2
    first = folded.layers[0]
    assert first.options["relu"] and set(first.arrays) == {"weight", "bias"}
    relus = [one for one in folded.layers if one.options.get("relu")]
    apart = plain.Network(
        folded.name, folded.input, folded.shape, folded.output, _without_relus(folded.layers)
    )
    assert relus == [first]
    write_onnx(apart, 1, tmp_path / "folded.onnx")
    y = onnx_reader.evaluate(
        onnx_reader.read(tmp_path / "folded.onnx"), {"data": np.load(files.inputs(1))}
    )["prob"]
    assert relative_error(y, np.load(files.expected(1)), 1) < 1e-6


def _without_relus(layers: tuple[plain.Layer, ...]) -> tuple[plain.Layer, ...]:
    """Attached ReLUs as layers again, since ONNX has no such option."""
    made = []
    for one in layers:
        if not one.options.get("relu"):
            made.append(one)
            continue
        inner = f"{one.out}.product"
        made.append(
            plain.Layer(one.kind, one.name, one.ins, inner, one.shape, one.options, one.arrays)
        )
        made.append(plain.Layer("relu", inner, (inner,), one.out, one.shape, {"slope": 0.0}))
    return tuple(made)


@pytest.mark.parametrize("readers", [1, 2])
def test_scales_become_the_batch_norms_own(readers: int) -> None:
    """Unless something else reads what is between the two."""
    other = layer("ReLU", "b", "r") + layer("Eltwise", "s r", "y") if readers == 2 else ""
    made = graph(feed(data=(1, 3, 2, 2)), layer("BatchNorm", "data", "b"), scale("b", "s"), other)
    seed_weights(made, 1)
    merged = merge_scales(network(made)).layers
    if readers == 2:
        assert [one.kind for one in merged] == ["batch_norm", "scale", "relu", "add"]
        return
    assert [(one.kind, one.out) for one in merged] == [("batch_norm", "s")]
    weight, bias = made.params["s_scale"]
    np.testing.assert_array_equal(merged[0].arrays["weight"], weight)
    np.testing.assert_array_equal(merged[0].arrays["bias"], bias)


def test_ncnn_files(every, tmp_path: Path) -> None:
    """Counts, one reader for every blob, and weights of the size that the numbers say."""
    _, made = every
    write_ncnn(made, tmp_path / "p", tmp_path / "b")
    magic, counts, *lines = (tmp_path / "p").read_text().splitlines()
    rows = [line.split() for line in lines]
    ins = [name for row in rows for name in row[4 : 4 + int(row[2])]]
    outs = [n for row in rows for n in row[4 + int(row[2]) : 4 + int(row[2]) + int(row[3])]]
    assert magic == "7767517" and counts.split() == [str(len(rows)), str(len(outs))]
    assert len(set(ins)) == len(ins) and set(outs) - set(ins) == {"prob"}
    assert set(ins) <= set(outs)
    products = [row for row in rows if row[0] in ("Convolution", "InnerProduct")]
    assert len(rows) > len(made.layers) and len(products) == 3
    floats = fold(made).weight_bytes()
    norms = [one for one in fold(made).layers if one.kind in ("batch_norm", "scale")]
    affine = sum(8 * len(one.arrays["weight"]) for one in norms)
    floats += affine - sum(a.nbytes for one in norms for a in one.arrays.values())
    tags = 4 * (len(products) + 1)  # the convolution with groups is of another type
    assert (tmp_path / "b").stat().st_size == floats + tags
    assert (tmp_path / "b").read_bytes()[:4] == struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (layer("TanH", "data", "y"), "'y' (TanH)"),
        (layer("Eltwise", "data data", "y", "eltwise_param { operation: MAX }"), "plain sum"),
        (layer("Eltwise", "data data data", "y"), "a sum of 3"),
        (layer("Concat", "data data", "y", "concat_param { axis: 2 }"), "its axis"),
        (layer("LRN", "data", "y", "lrn_param { norm_region: WITHIN_CHANNEL }"), "WITHIN_CHANNEL"),
        (pool("data", "y", "pool: AVE kernel_size: 3 stride: 3 pad: 1"), "cut off"),
        (pool("data", "y", "pool: MAX kernel_size: 2 stride: 3"), "a window outside the plane"),
        (pool("data", "y z", "pool: MAX kernel_size: 2"), "1 inputs and 2 outputs"),
        (scale("data", "y", "axis: 2"), "channel factors"),
        (layer("Softmax", "data", "y", "softmax_param { axis: 2 }"), "axis 2"),
    ],
)
def test_what_the_writers_lack_is_said(text: str, said: str) -> None:
    with pytest.raises(Unsupported, match=r".") as caught:
        network(graph(feed(data=(1, 2, 6, 6)), text))
    assert said in str(caught.value)


def test_seeded_weights(tmp_path: Path) -> None:
    """The same for one seed, others for another; outputs of deviation 1 before the softmax."""
    path = networks.find("lenet")
    first, second, other = (graphc.load(path) for _ in range(3))
    for made, seed in ((first, 1), (second, 1), (other, 2)):
        seed_weights(made, seed)
    for name, blobs in first.params.items():
        for mine, same, differs in zip(blobs, second.params[name], other.params[name], strict=True):
            np.testing.assert_array_equal(mine, same)
            assert not np.array_equal(mine, differs)
    x = np.random.default_rng(9).standard_normal(first.inputs[0].type.shape).astype(np.float32)
    logits = graphc.compile(first, keep=("ip2",)).run({"data": x})["ip2"]
    assert 0.3 < logits.std() < 3 and first.notes == []


def test_an_onnx_over_2_gib_is_refused(tmp_path: Path) -> None:
    wide = np.broadcast_to(np.float32(0), (1 << 10, 1 << 19))
    one = plain.Layer("inner_product", "ip", ("data",), "ip", (1, 1 << 10), {}, {"weight": wide})
    with pytest.raises(ValueError, match="wide takes over 2 GiB"):
        write_onnx(plain.Network("wide", "data", (1, 1), "ip", (one,)), 1, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_peers_processes_need_no_graphc() -> None:
    """Their Python has none. Ours alone may import it."""
    alone = ["once", "worker", "plain", "folding", "files", "starter", "rates"]
    paths = [FOLDER / f"{name}.py" for name in alone]
    paths += [p for p in (FOLDER / "engines").glob("*.py") if not p.name.startswith("our")]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "graphc"], path
