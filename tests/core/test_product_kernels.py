"""Inner products, embeddings and recurrent layers beside their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gemm_cases import ISAS, agree, filled, fused, products
from core.rows import Layer, cased, close, compare, spec

from graphc import _core
from graphc.check.case import Case, draw
from graphc.errors import GraphError
from graphc.ops.embed import Embed, EmbedAttrs
from graphc.ops.im2col import Im2col
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs
from graphc.ops.lstm import LSTM
from graphc.ops.lstm_unit import LSTMUnit
from graphc.ops.rnn import RNN

OPS = (InnerProduct, Im2col, Embed, LSTM, RNN, LSTMUnit)
CASES = [Case(op, i) for op in OPS for i in range(len(op.samples))]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The instruction set of the kernels made in a test (the machine's best, if that is lower)."""
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    return str(request.param)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_samples(case: Case, isa: str) -> None:
    compare(cased(case), draw(case), threads=2)


def inner_product(shape: tuple[int, ...], out: int, **told: Any) -> Layer:
    return Layer.of(InnerProduct, InnerProductAttrs(num_output=out, **told), shape)


SHAPES = [
    ((1, 1000), 37),
    ((1, 3, 7, 5), 100),
    ((3, 33), 7),
    ((5, 3, 130), 20),
    ((71, 1601), 29),
    ((130, 17), 1),
    ((2, 1), 6),
    ((70, 1100), 90),
    ((1, 3000), 333),
]


@pytest.mark.parametrize("transpose", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize(("shape", "out"), SHAPES)
def test_inner_product(shape: tuple[int, ...], out: int, transpose: bool, isa: str) -> None:
    whole = inner_product(shape, out, transpose=transpose)
    values = filled(whole)
    many = agree(whole, values)["y"]
    agree(inner_product(shape, out, transpose=transpose, bias_term=False))
    one = agree(
        inner_product((1, *shape[1:]), out, transpose=transpose),
        values | {"x": values["x"][-1:]},
        long=products(whole),
    )
    assert one["y"].tobytes() == many[-1:].tobytes()


@pytest.mark.parametrize("transpose", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("slope", [None, 0.0, 0.2])
def test_epilogues(slope: float | None, transpose: bool, isa: str) -> None:
    layer = inner_product((9, 55), 31, transpose=transpose)
    values = filled(layer)
    _, wanted = layer.run(values)
    residual = np.random.default_rng(1).standard_normal((9, 31)).astype(np.float32)
    target = wanted["y"] + residual
    told: dict[str, Any] = {"residual": True}
    if slope is not None:
        target = np.where(target > 0, target, slope * target)
        told |= {"relu": True, "slope": slope}
    over = residual.copy()
    fused(layer, values, over, over, **told)
    close(over, target, "", products(layer))


@pytest.mark.parametrize("transpose", [False, True], ids=["rows", "columns"])
def test_nan_reaches_its_own_row_only(transpose: bool, isa: str) -> None:
    layer = inner_product((7, 40), 9, transpose=transpose)
    values = filled(layer)
    values["x"][3, 39] = np.nan
    made, _ = layer.run(values)
    assert np.isnan(made["y"]).all(1).tolist() == [n == 3 for n in range(7)]
    assert np.isnan(made["y"]).any(1).sum() == 1


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
def test_embed(bias: bool) -> None:
    attrs = EmbedAttrs(num_output=300, input_dim=1000, bias_term=bias)
    layer = Layer.of(Embed, attrs, (50, 7))
    values = filled(layer)
    values["x"] = np.random.default_rng(0).uniform(-0.9, 999.9, (50, 7)).astype(np.float32)
    agree(layer, values)


@pytest.mark.parametrize("bad", [4.0, -1.0, np.nan, np.inf])
def test_embed_refuses_an_unknown_id(bad: float) -> None:
    layer = Layer.of(Embed, EmbedAttrs(num_output=3, input_dim=4), (5,))
    values = filled(layer) | {"x": np.array([0, 1, bad, 2, 3], np.float32)}
    y = np.zeros((5, 3), np.float32)
    told = {"bias": True}
    kernel = _core.make_kernel("embed", [spec(v) for v in values.values()], [spec(y)], told)
    with pytest.raises(GraphError, match=r"GC-D003.*element 2"):
        kernel.run([*values.values()], [y])


def sequence(op: Any, steps: int, streams: int, *, static: bool, expose: bool) -> Layer:
    """A layer of 21 units over steps of (5, 2) elements."""
    states = (1, streams, 21)
    count = (2 if op is LSTM else 1) if expose else 0
    ins = [(steps, streams, 5, 2), (steps, streams)]
    ins += [(streams, 7)] if static else []
    attrs = op.Attrs(num_output=21, expose_hidden=expose)
    return Layer.of(op, attrs, *ins, *(states,) * count, tops=1 + count)


@pytest.mark.parametrize("static", [False, True], ids=["", "static"])
@pytest.mark.parametrize("expose", [False, True], ids=["carried", "exposed"])
@pytest.mark.parametrize("op", [LSTM, RNN])
def test_sequences(op: Any, static: bool, expose: bool, isa: str) -> None:
    layer = sequence(op, 6, 9, static=static, expose=expose)
    values = filled(layer)
    for name, t in layer.sig.params.items():
        values[name] *= np.float32(1 / np.sqrt(t.count(1)))
    values["cont"] = (np.random.default_rng(1).random((6, 9)) > 0.3).astype(np.float32)
    made = agree(layer, values, long=200)
    spare = {"gates", "h_in", "c_in", *(("cell", "hidden") if expose else ())}
    unread = [role for role in layer.sig.outs if role in spare]
    bare, _ = layer.without(*unread).run(values | made)
    for role in layer.sig.tops:
        assert bare[role].tobytes() == made[role].tobytes()


@pytest.mark.parametrize("op", [LSTM, RNN])
def test_a_sequence_that_is_worth_threads(op: Any) -> None:
    layer = Layer.of(op, op.Attrs(num_output=150), (3, 64, 80), (3, 64))
    values = filled(layer)
    for name, t in layer.sig.params.items():
        values[name] *= np.float32(1 / np.sqrt(t.count(1)))
    agree(layer, values | {"cont": np.ones((3, 64), np.float32)}, long=250)


def test_lstm_starts_afresh_where_cont_is_0() -> None:
    layer = sequence(LSTM, 2, 3, static=False, expose=True)
    values = filled(layer) | {"cont": np.zeros((2, 3), np.float32)}
    values["c0"][:] = np.nan
    made, wanted = layer.run(values)
    assert np.isfinite(made["y"]).all()
    close(made["y"], wanted["y"], "", 200)


def test_lstm_unit() -> None:
    layer = Layer.of(LSTMUnit, None, (1, 40, 33), (1, 40, 132), (1, 40), tops=2)
    values = filled(layer)
    values["cont"] = np.arange(40, dtype=np.float32)[None] % 2
    agree(layer, values)


ROLES = {"reads": "x cont W_xc b_c W_hc h0 c0", "writes": "y"}
LSTM_READS = [
    ("f32", dims, None) for dims in ((2, 3, 4), (2, 3), (8, 4), (8,), (8, 2), (1, 3, 2), (1, 3, 2))
]
LSTM_Y = ("f32", (2, 3, 2), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reads": "x cont"},
        {"reads": "x cont W_xc b_c W_hc h0 h0"},
        {"reads": "x cont W_hc b_c W_xc h0 c0"},
        {"writes": ""},
        {"writes": "gates"},
        {"writes": "y cT"},
        {"writes": 3},
    ],
)
def test_unfit_roles_are_refused(wrong: dict[str, Any]) -> None:
    _core.make_kernel("lstm", LSTM_READS, [LSTM_Y], ROLES)
    with pytest.raises(GraphError, match="GC-A001"):
        _core.make_kernel("lstm", LSTM_READS, [LSTM_Y], ROLES | wrong)


@pytest.mark.parametrize(
    ("reads", "y", "told"),
    [
        ([(2, 5), (3, 5)], (2, 3), {"axis": 3}),
        ([(2, 5), (3, 4)], (2, 3), {"axis": 1}),
        ([(2, 5), (3, 5)], (2, 4), {"axis": 1}),
        ([(2, 5), (3, 5)], (2, 3), {"axis": 1, "bias": True}),
        ([(2, 5), (3, 5), (2,)], (2, 3), {"axis": 1, "bias": True}),
        ([(2, 5), (3, 5)], (2, 3), {}),
    ],
)
@pytest.mark.parametrize("symbol", ["inner_product", "inner_product_packed"])
def test_unfit_products_are_refused(symbol: str, reads: Any, y: Any, told: dict[str, Any]) -> None:
    specs = [("f32", dims, None) for dims in reads]
    with pytest.raises(GraphError, match="GC-A001"):
        _core.make_kernel(symbol, specs, [("f32", y, None)], told)
