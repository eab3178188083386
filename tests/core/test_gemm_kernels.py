"""Convolution and its transpose beside their references, for every instruction set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gemm_cases import ISAS, agree, filled, fused, products
from core.rows import Layer, cased, close, compare, gapped

from graphc import _core
from graphc.check.case import Case, draw
from graphc.errors import GraphError
from graphc.ops.convolution import Convolution
from graphc.ops.deconvolution import Deconvolution
from graphc.ops.im2col import Im2col

CASES = [Case(op, i) for op in (Convolution, Deconvolution) for i in range(len(op.samples))]
Table = dict[str, tuple[tuple[int, ...], dict[str, Any]]]


def options(out: int, kernel: int | tuple[int, int], **more: Any) -> dict[str, Any]:
    """Of a convolution: outputs, kernel size or sizes, and what else is not the default."""
    if isinstance(kernel, tuple):
        return {"num_output": out, "kernel_h": kernel[0], "kernel_w": kernel[1], **more}
    lists = {k: (v,) if isinstance(v, int) else v for k, v in more.items() if k != "group"}
    group = {"group": more["group"]} if "group" in more else {}
    return {"num_output": out, "kernel_size": (kernel,), **lists, **group}


CONVOLUTIONS: Table = {
    "3x3": ((2, 7, 19, 23), options(21, 3, pad=1)),
    "rows of 16": ((1, 5, 32, 32), options(17, 3, pad=1)),
    "1x1": ((2, 70, 15, 17), options(33, 1)),
    "1x1 by 2": ((2, 20, 15, 17), options(30, 1, stride=2)),
    "7x7 by 2": ((1, 3, 45, 51), options(20, 7, stride=2, pad=3)),
    "11x11 by 4": ((1, 3, 67, 59), options(9, 11, stride=4)),
    "few windows": ((3, 40, 7, 7), options(50, 3, pad=1)),
    "one window": ((2, 30, 5, 4), options(37, (5, 4))),
    "wide kernel": ((1, 2, 3, 60), options(3, (1, 41), pad_h=0, pad_w=9)),
    "many taps": ((2, 2, 30, 33), options(5, 21, pad=4)),
    "many taps, few windows": ((2, 3, 22, 21), options(40, 21)),
    "dilated": ((2, 4, 21, 22), options(6, 3, dilation=4, pad=3)),
    "groups": ((2, 12, 13, 14), options(18, 3, group=6, pad=1)),
    "groups, few windows": ((2, 24, 5, 5), options(48, 3, group=2)),
    "mostly padding": ((1, 2, 3, 3), options(3, 5, pad=7)),
    "narrow": ((2, 3, 40, 1), options(4, (3, 1))),
    "deep": ((1, 700, 9, 9), options(20, 1)),
    "1-D": ((2, 6, 50), options(11, 5, stride=2, pad=2)),
    "3-D": ((2, 3, 7, 8, 9), options(5, 3, stride=(1, 2, 1), pad=1)),
    "no space": ((5, 33), {"num_output": 18}),
    "short rows": ((2, 40, 13, 13), options(58, 3, group=2, pad=1)),
    "short rows, few left": ((2, 40, 12, 11), options(82, 3, group=2, pad=1)),
    "1x1, few left": ((1, 280, 12, 11), options(27, 1)),
    "short rows by 2": ((1, 3, 27, 25), options(48, 5, stride=2, pad=2)),
    "short rows, dilated": ((1, 9, 15, 12), options(31, 3, dilation=3, pad=2)),
    "long rows": ((2, 3, 40, 83), options(30, 7, stride=2, pad=3)),
    "long rows by 4": ((1, 3, 67, 131), options(9, 11, stride=4)),
    "long rows, deep": ((1, 47, 24, 40), options(20, 3, pad=1)),
    "long rows, groups": ((2, 6, 20, 40), options(16, 3, group=2, pad=1)),
    "long rows, dilated": ((1, 2, 40, 70), options(7, 3, stride=2, dilation=3, pad=4)),
    "long rows, oblong": (
        (1, 2, 9, 110),
        options(3, (3, 21), pad_h=1, pad_w=0, stride_h=2, stride_w=1),
    ),
}
DEPTHWISE: Table = {
    "dw 3x3 by 2, narrow": ((2, 9, 15, 14), options(9, 3, group=9, pad=1, stride=2)),
    "dw 5x5": ((1, 3, 15, 30), options(3, 5, group=3, pad=2)),
    "dw 7x7": ((1, 3, 7, 7), options(6, 7, group=3, pad=3)),
    "dw 3x3": ((2, 5, 14, 14), options(5, 3, group=5, pad=1)),
    "dw wide": ((1, 3, 9, 131), options(3, 3, group=3, pad=1)),
    "dw by 2": ((2, 5, 33, 35), options(5, 3, group=5, pad=1, stride=2)),
    "dw by 3, dilated": ((1, 4, 40, 44), options(8, 3, group=4, dilation=2, stride=3)),
    "dw bands": ((1, 2, 150, 160), options(2, 5, group=2, pad=2)),
    "dw 1-D": ((2, 4, 70), options(12, 4, group=4, stride=2, pad=1)),
    "dw oblong": ((1, 3, 8, 20), options(3, (1, 7), group=3, pad_h=0, pad_w=5)),
}
DECONVOLUTIONS: Table = {
    "4x4 by 2": ((2, 5, 9, 11), options(7, 4, stride=2, pad=1)),
    "bilinear": ((1, 6, 8, 8), options(6, 8, stride=4, pad=2, group=6)),
    "by 1": ((2, 6, 9, 19), options(17, 3, pad=1)),
    "stride beyond kernel": ((2, 3, 5, 6), options(4, 2, stride=5)),
    "dilated by 2": ((1, 4, 7, 6), options(3, 3, stride=2, dilation=3, pad=2)),
    "dilated by the stride": ((1, 4, 7, 6), options(3, 3, stride=2, dilation=2)),
    "cut to one": ((2, 4, 1, 1), options(20, 5, stride=3, pad=2)),
    "transposed groups": ((2, 8, 5, 6), options(12, 3, stride=2, group=4)),
    "transposed 1-D": ((2, 6, 20), options(5, 5, stride=3, pad=1)),
    "transposed 3-D": ((1, 2, 3, 4, 5), options(3, 3, stride=2)),
}
LONG_ROWS = [name for name in CONVOLUTIONS if name.startswith("long rows")]
TABLE = {**CONVOLUTIONS, **DEPTHWISE, **DECONVOLUTIONS}


def layer_of(name: str, *, pairs: int = 1, **more: Any) -> Layer:
    shape, told = TABLE[name]
    op = Deconvolution if name in DECONVOLUTIONS else Convolution
    return Layer.of(op, op.Attrs(**(told | more)), *(shape,) * pairs, tops=pairs)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The instruction set of the kernels made in a test (the machine's best, if that is lower)."""
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    return str(request.param)


def cropped(x: np.ndarray) -> np.ndarray:
    """The same values with gaps between all axes but the last element of each row."""
    room = np.full([n + 3 for n in x.shape], 7, x.dtype)
    view = room[tuple(slice(2, n + 2) for n in x.shape)]
    view[...] = x
    return view


PLACES = {"dense": np.array, "samples": gapped, "crop": cropped}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_samples(case: Case, place: Any, isa: str) -> None:
    def lay(x: np.ndarray) -> np.ndarray:
        return place(x) if x.shape in shapes else np.array(x)

    shapes = {t.shape for t in (*case.sig.ins.values(), *case.sig.outs.values())}
    compare(cased(case), draw(case), place=lay)


@pytest.mark.parametrize("name", TABLE)
def test_against_the_reference(name: str, isa: str) -> None:
    layer = layer_of(name)
    symbol = (
        "conv_depthwise" if name in DEPTHWISE else "deconv" if name in DECONVOLUTIONS else "conv"
    )
    assert layer.usable(layer.op.forwards(layer.attrs, layer.sig)[0])[0].symbol == symbol
    agree(layer)


LARGE: Table = {
    "windows in lanes": ((2, 40, 37, 41), options(70, 3, pad=1)),
    "outputs in lanes": ((6, 100, 7, 7), options(300, 3, pad=1)),
    "bands": ((1, 3, 120, 131), options(40, 7, stride=2, pad=3)),
    "depthwise": ((4, 48, 60, 63), options(48, 3, group=48, pad=1)),
    "one channel": ((1, 1, 800, 900), options(1, 3, group=1, pad=1)),
}


@pytest.mark.parametrize("name", LARGE)
def test_work_that_is_worth_threads(name: str, isa: str) -> None:
    shape, told = LARGE[name]
    agree(Layer.of(Convolution, Convolution.Attrs(**told), shape))


@pytest.mark.parametrize(
    "name", ["3x3", "few windows", "dw 3x3", "4x4 by 2", "by 1", "1-D", *LONG_ROWS]
)
def test_operands_with_gaps(name: str) -> None:
    layer = layer_of(name)
    shapes = {t.shape for t in (*layer.sig.ins.values(), *layer.sig.outs.values())}
    dense = agree(layer)
    gaps = agree(layer, place=lambda x: cropped(x) if x.shape in shapes else np.array(x))
    assert np.array_equal(dense["y0"], gaps["y0"])


@pytest.mark.parametrize("name", ["3x3", "few windows", "4x4 by 2"])
def test_pairs_share_the_weight(name: str) -> None:
    agree(layer_of(name, pairs=2))


@pytest.mark.parametrize("slope", [None, 0.0, 0.1, -0.5])
@pytest.mark.parametrize(
    "name",
    [
        *("3x3", "few windows", "long rows", "long rows, deep", "dw by 2", "dw 3x3"),
        *("4x4 by 2", "by 1", "stride beyond kernel"),
    ],
)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
def test_epilogues(name: str, bias: bool, slope: float | None, isa: str) -> None:
    """A residual and an activation in the same call; y may lie where the residual does."""
    layer = layer_of(name, bias_term=bias)
    values = filled(layer)
    _, wanted = layer.run(values)
    residual = np.random.default_rng(1).standard_normal(wanted["y0"].shape).astype(np.float32)
    target = wanted["y0"] + residual
    told: dict[str, Any] = {"residual": True}
    if slope is not None:
        target = np.where(target > 0, target, slope * target)
        told |= {"relu": True, "slope": slope}
    y = np.full(target.shape, np.nan, np.float32)
    fused(layer, values, y, residual, **told)
    close(y, target, name, products(layer))
    over = residual.copy()
    fused(layer, values, over, over, **told)
    assert over.tobytes() == y.tobytes()
    sparse = cropped(np.full(target.shape, np.nan, np.float32))
    fused(layer, values, sparse, gapped(residual), **told)
    assert np.array_equal(sparse, y)


@pytest.mark.parametrize(
    "name", ["3x3", "few windows", "one window", "long rows", "dw 3x3", "4x4 by 2"]
)
def test_a_sample_does_not_depend_on_the_batch(name: str, isa: str) -> None:
    """Micro-batches give the bits of the whole batch."""
    shape, _ = TABLE[name]
    whole = layer_of(name)
    values = filled(whole)
    many = agree(whole, values)["y0"]
    single = Layer.of(whole.op, whole.attrs, (1, *shape[1:]))
    for n in range(shape[0]):
        one = agree(single, values | {"x0": values["x0"][n : n + 1]})["y0"]
        assert one.tobytes() == many[n : n + 1].tobytes()


@pytest.mark.parametrize("name", ["3x3", "few windows", "long rows", "dw 3x3", "by 1"])
def test_nan_and_infinity_pass(name: str, isa: str) -> None:
    layer = layer_of(name, bias_term=False)
    values = filled(layer)
    values["x0"][0, 1, 2, 3] = np.nan
    values["x0"][0, 0, 5, 5] = np.inf
    made, wanted = layer.run(values)
    close(made["y0"], wanted["y0"], name, products(layer))
    y = np.empty_like(made["y0"])
    fused(layer, values, y, relu=True, slope=0.0)
    assert np.array_equal(np.isnan(y), np.isnan(made["y0"]))


def test_random_convolutions() -> None:
    rng = np.random.default_rng(7)
    done = 0
    for _ in range(120):
        group = int(rng.integers(1, 4))
        kernel, dilation = (int(v) for v in rng.integers(1, 5, 2))
        stride, pad = int(rng.integers(1, 4)), int(rng.integers(0, 4))
        size = [int(v) + dilation * (kernel - 1) + 1 for v in rng.integers(0, 30, 2)]
        channels, out = (int(v) * group for v in rng.integers(1, 20, 2))
        shape = (int(rng.integers(0, 4)), channels, *size)
        told = options(out, kernel, group=group, stride=stride, pad=pad, dilation=dilation)
        op = Convolution if rng.integers(0, 3) else Deconvolution
        try:
            layer = Layer.of(op, op.Attrs(**told), shape)
        except GraphError:
            continue  # a deconvolution whose padding leaves nothing
        agree(layer)
        done += 1
    assert done > 90


@pytest.mark.parametrize("name", ["3x3", "7x7 by 2", "dilated", "mostly padding", "1-D", "3-D"])
def test_im2col_is_exact(name: str) -> None:
    shape, told = CONVOLUTIONS[name]
    layer = Layer.of(Im2col, Im2col.Attrs(**(told | {"num_output": 0})), shape)
    values = filled(layer)
    made, wanted = layer.run(values, threads=3)
    assert np.array_equal(made["y"], wanted["y"].astype(np.float32))


GOOD: dict[str, Any] = {
    "axis": 1,
    "group": 1,
    "size": (5, 5),
    "kernel": (3, 3),
    "stride": (1, 1),
    "pad": (0, 0),
    "dilation": (1, 1),
}
X, PACKED, Y = (("f32", dims, None) for dims in ((1, 2, 5, 5), (288,), (1, 4, 3, 3)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"axis": 7},
        {"axis": -1},
        {"group": 0},
        {"group": 3},
        {"kernel": (3,)},
        {"kernel": (0, 3)},
        {"kernel": (9, 3)},
        {"stride": (0, 1)},
        {"pad": (-1, 0)},
        {"pad": (1, 0)},
        {"dilation": (1 << 40, 1)},
        {"size": (5, 6)},
        {"bias": True},
        {"residual": True},
    ],
)
@pytest.mark.parametrize("symbol", ["conv", "deconv", "conv_depthwise"])
def test_unfit_attributes_are_refused(symbol: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match="GC-A001"):
        _core.make_kernel(symbol, [X, PACKED], [Y], GOOD | wrong)


def test_unfit_operands_are_refused() -> None:
    _core.make_kernel("conv", [X, PACKED], [Y], GOOD)
    for reads, y in (
        ([X], Y),
        ([X, ("f32", (287,), None)], Y),
        ([X, ("i32", (288,), None)], Y),
        ([X, PACKED], ("f32", (2, 4, 3, 3), None)),
        ([X, PACKED], ("f32", (1, 4, 3, 4), None)),
        ([("f32", (1, 2, 5, 5), (50, 25, 5, 2)), PACKED], Y),
    ):
        with pytest.raises(GraphError, match="GC-A001"):
            _core.make_kernel("conv", reads, [y], GOOD)


def test_an_unknown_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_ISA", "avx1024")
    with pytest.raises(GraphError, match=r"GC-R004.*avx1024"):
        _core.make_kernel("conv", [X, PACKED], [Y], GOOD)
