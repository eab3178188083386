"""Every error code: one small way to raise it, and what the error must tell."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import graphc
from graphc import _core
from graphc.cli.main import invoke
from graphc.codes import CODES
from graphc.config import Config
from graphc.errors import GraphError
from graphc.front.schema import dialect
from graphc.ir.bind import bind
from graphc.ir.graph import Graph, Value
from graphc.ir.provenance import Record
from graphc.ir.text_parser import parse_graph
from graphc.ir.verify import verify
from graphc.limits import Limits
from graphc.ops.registry import find, load_file
from graphc.passes.base import Pass, PassContext
from graphc.plan.data import Plan
from graphc.plan.verify import verify_plan
from graphc.program import Buffer, BufferKind, Call, Operand, Program, Variant
from graphc.runtime._gpu import lost
from graphc.runtime.reference import ReferenceExecutor
from graphc.train.checkpoint.load import load_snapshot

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
LABEL = 'layer { name: "in2" type: "Input" top: "t" input_param { shape { dim: 2 } } }\n'
IP = """layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 3 } }
"""
LOSS = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }\n'


@dataclass
class Bench:
    """A scratch folder, and shorthands to fail in."""

    folder: Path
    patch: pytest.MonkeyPatch

    def write(self, data: str | bytes, name: str = "net.prototxt") -> Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def load(self, text: str, weights: bytes | None = None) -> Graph:
        path = self.write(text)
        return graphc.load(path, None if weights is None else self.write(weights, "w.caffemodel"))

    def layer(self, text: str) -> Graph:
        """A net of an input x (2, 3) and one layer `n` from x to y."""
        return self.load(f'{INPUT}layer {{ name: "n" bottom: "x" top: "y" {text} }}')

    def compile(self, text: str, **options: object) -> graphc.Executable:
        return graphc.compile(self.load(text), **options)  # type: ignore[arg-type]


def weights_of(layer: str, shape: tuple[int, ...], count: int) -> bytes:
    """A caffemodel with one blob."""
    net = dialect("bvlc").new("NetParameter")
    blob = net.layer.add(name=layer, type="InnerProduct").blobs.add(data=[0.5] * count)
    blob.shape.dim.extend(shape)
    return bytes(net.SerializeToString())


def unwritable(b: Bench) -> None:
    b.compile(INPUT + IP).save(b.folder / "nowhere" / "net.gcz")


def leaves_folder(b: Bench) -> None:
    Limits.strict().resolve("../secret", b.folder)


def ambiguous(b: Bench) -> None:
    """Field 147 of a layer is swish_param in BVLC and sparsify_param in a fork."""
    net = dialect("bvlc").new("NetParameter")
    net.layer.add(name="l", type="NoSuchType").swish_param.beta = 0.5
    path = b.write(net.SerializeToString(), "net.binaryproto")
    graphc.load(path)


def mixed_ages(b: Bench) -> None:
    b.load('layer { name: "a" type: "ReLU" } layers { name: "b" type: RELU }')


def shares_badly(b: Bench) -> None:
    b.load(
        INPUT
        + IP.replace('top: "y"', 'top: "y" param { name: "w" }')
        + 'layer { name: "b" type: "InnerProduct" bottom: "x" top: "z" param { name: "w" } '
        "inner_product_param { num_output: 4 } }"
    )


def gradient_into_label(b: Bench) -> None:
    labels = (
        IP.replace('"ip"', '"ip2"').replace('"y"', '"t"').replace("num_output: 3", "num_output: 1")
    )
    b.compile(INPUT + IP + labels + LOSS, train=True)


HDF5 = """layer { name: "d" type: "HDF5Data" top: "x" top: "t"
  hdf5_data_param { source: "list.txt" batch_size: 2 } }"""


def broken_source(b: Bench) -> None:
    pytest.importorskip("h5py")
    b.write("broken.h5\n", "list.txt")
    b.write("no HDF5", "broken.h5")
    b.compile(HDF5)


def rows_disagree(b: Bench) -> None:
    h5py = pytest.importorskip("h5py")
    b.write("odd.h5\n", "list.txt")
    with h5py.File(b.folder / "odd.h5", "w") as file:
        file["x"], file["t"] = np.zeros((4, 3), np.float32), np.zeros(5, np.float32)
    b.compile(HDF5)


def label_out_of_range(b: Bench) -> None:
    exe = b.compile(INPUT + LABEL + IP + LOSS)
    exe.run({"x": np.zeros((2, 3)), "t": [0, 7]})


def loss_is_no_number(b: Bench) -> None:
    b.write(INPUT + LABEL + IP + LOSS)
    path = b.write('net: "net.prototxt" base_lr: 1 lr_policy: "fixed"', "solver.prototxt")
    graphc.Solver(path).step(1, {"x": np.full((2, 3), np.nan), "t": np.zeros(2)})


def package_missing(b: Bench) -> None:
    b.patch.setitem(sys.modules, "h5py", None)
    path = b.write(b"\x89HDF\r\n\x1a\n" + bytes(64), "w.caffemodel.h5")
    graphc.load(b.write(INPUT + IP), path)


def out_of_memory(b: Bench) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    exe = b.compile(INPUT + IP, target="reference")
    b.patch.setattr(ReferenceExecutor, "_run_forward", exhausted)
    exe.run({"x": np.zeros((2, 3))})


def unsound_plan(b: Bench) -> None:
    made = Buffer(0, "x", BufferKind.ACT, "f32", (4,), (1,), 64)
    reads = Operand("x", 0, 1)  # version 1, though no call writes it
    call = Call(0, "r", -1, "forward", (Variant("expr"),), (reads,), ())
    program = Program("model", (made,), (call,), {"forward": (0,)})
    verify_plan(program, Plan("model", (), {}, (), {}, {}, (), 0, 0.0))


def invalid_graph(b: Bench) -> None:
    verify(Graph(outputs=[Value("ghost")]))


class Spoiler(Pass):
    """Claims to be exact, and doubles a weight."""

    name = "spoiler"

    def run(self, graph: Graph, ctx: PassContext) -> Record:
        for value in graph.param_values():
            graph.weight(value)[...] = 2
        return Record(self.name, True)


def inexact_pass(b: Bench) -> None:
    graphc.optimize(b.load(INPUT + IP), [Spoiler()], measure=True)


def bad_declaration(b: Bench) -> None:
    load_file(b.write("raise ValueError('not today')", "ops.py"))


def internal_mistake(b: Bench) -> None:
    def mistaken() -> None:
        raise ZeroDivisionError

    b.patch.setattr(Config, "load", mistaken)
    invoke(["ops"])


def sparse_layout_full(bench: Bench) -> None:
    weight, room = np.ones((4, 3), np.float32), np.zeros(64, np.float32)
    told = {"batch": 1, "depth": 3, "outputs": 4, "bias": False, "stored": 2}
    specs = [("f32", (4, 3), (3, 1))], [("f32", (10,), (1,))]
    _core.make_kernel("inner_product_sparse_pack", *specs, told).run([weight], [room[:10]])


RAISE: dict[str, Callable[[Bench], object]] = {
    "GC-F001": lambda b: graphc.load(b.folder / "none.prototxt"),
    "GC-F002": unwritable,
    "GC-F003": leaves_folder,
    "GC-P001": lambda b: b.load("layer {"),
    "GC-P002": lambda b: b.load(INPUT + IP, b"\x0a\xff\xff\xff"),
    "GC-P003": ambiguous,
    "GC-P004": mixed_ages,
    "GC-N001": lambda b: b.layer('type: "ReLu"'),
    "GC-N002": lambda b: b.load(IP),
    "GC-N003": lambda b: b.load(INPUT + INPUT.replace('"in"', '"in2"')),
    "GC-N004": lambda b: b.layer('type: "ReLU" bottom: "x"'),
    "GC-N005": lambda b: b.layer('type: "ReLU" include { } exclude { }'),
    "GC-N006": shares_badly,
    "GC-N007": gradient_into_label,
    "GC-N008": lambda b: b.layer('type: "InnerProduct" inner_product_param { }'),
    "GC-P005": lambda b: graphc.Solver(b.write('lr_policy: "fixed"', "solver.prototxt")),
    "GC-S001": lambda b: b.load(INPUT.replace("dim: 3", "dim: -3")),
    "GC-S002": lambda b: b.layer('type: "Pooling" pooling_param { kernel_size: 2 }'),
    "GC-S003": lambda b: b.load(
        INPUT + LABEL + 'layer { name: "n" type: "Eltwise" bottom: "x" bottom: "t" top: "y" }'
    ),
    "GC-S004": lambda b: b.compile('layer { name: "in" type: "Input" top: "x" }'),
    "GC-W001": lambda b: b.load(INPUT + IP, weights_of("ip", (4, 3), 12)),
    "GC-W002": lambda b: bind(b.load(INPUT + IP), {"other": []}),
    "GC-W003": lambda b: b.load(INPUT + IP, weights_of("ip", (3, 3), 5)),
    "GC-W004": sparse_layout_full,
    "GC-D001": broken_source,
    "GC-D002": rows_disagree,
    "GC-D003": label_out_of_range,
    "GC-L001": lambda b: graphc.load(b.write(INPUT + IP), limits=Limits(layers=1)),
    "GC-U001": lambda b: b.layer('type: "Python"'),
    "GC-U002": package_missing,
    "GC-R001": lambda b: b.compile(INPUT + IP).run({"x": "text"}),
    "GC-R002": lambda b: b.compile(INPUT + IP, keep=("nope",)),
    "GC-R003": lambda b: b.compile(INPUT + IP).backward(),
    "GC-R004": lambda b: Config.load({"GRAPHC_DEBUG": "perhaps"}),
    "GC-R005": loss_is_no_number,
    "GC-A001": lambda b: graphc.open(b.write(b"PK", "net.gcz")),
    "GC-K001": lambda b: load_snapshot(b.write(b"", "x_iter_1.solverstate")),
    "GC-V001": invalid_graph,
    "GC-V002": lambda b: parse_graph("graphc 1\nnonsense", find),
    "GC-O001": bad_declaration,
    "GC-T001": lambda b: graphc.optimize(b.load(INPUT + IP), ["no-such-pass"]),
    "GC-T002": inexact_pass,
    "GC-X001": lambda b: b.compile(INPUT + IP, target="cuda"),
    "GC-X002": lambda b: lost("in relu", RuntimeError("cudaErrorUnknown")),
    "GC-V003": unsound_plan,
    "GC-M001": lambda b: b.compile(INPUT + IP, memory="100B"),
    "GC-M002": out_of_memory,
    "GC-C001": lambda b: invoke(["compyle"]),
    "GC-C002": internal_mistake,
}
AT_A_LAYER = re.compile(r"GC-(N|S|W001|D)")


def test_every_code_is_raised_here() -> None:
    assert set(RAISE) == set(CODES)


@pytest.mark.parametrize("code", RAISE)
def test_code(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphError) as caught:
        RAISE[code](Bench(tmp_path, monkeypatch))
    error = caught.value
    assert error.code == code, str(error)
    assert error.exit_code == CODES[code].exit_code
    assert error.message and code in error.headline
    if AT_A_LAYER.match(code):
        assert error.layer, f"no layer is named: {error}"
        assert error.loc is not None and error.loc.line > 0, f"no line is named: {error}"
        assert str(error.loc) in str(error) and repr(error.layer) in str(error)


@pytest.mark.parametrize("code", CODES)
def test_page(code: str) -> None:
    page = CODES[code]
    assert page.title and page.cause.endswith(".") and page.cure.endswith(".")
    assert page.title[0].islower() or page.title.startswith("IR")
