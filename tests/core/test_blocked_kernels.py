"""Kernels for operands in blocks of channels: what the plain ones make, and zeros as padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.blocked import blocked, plain, room, run
from core.rows import Layer, channels_last, close, gapped
from core.test_spatial_kernels import ISAS, NORMS, WINDOWS, rows_gapped

from graphc import _core
from graphc.errors import GraphError
from graphc.ops.lrn import LRN, WITHIN
from graphc.ops.pooling import FLT_MAX, Pooling, PoolingAttrs

LANES = (8, 16)
SHAPES = [
    (2, 16, 8, 9),
    (1, 3, 5, 7),
    (3, 37, 7, 7),
    (2, 40, 1, 1),
    (2, 9, 1, 33),
    (1, 17, 300, 1),
    (1, 70, 19, 31),
    (0, 5, 3, 3),
    (2, 20, 0, 3),
]
PLACES = {"dense": np.array, "samples": gapped, "rows": rows_gapped}


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The instruction set of the kernels made in a test (the machine's best, if that is lower)."""
    monkeypatch.setenv("GRAPHC_ISA", request.param)
    return str(request.param)


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("lanes", LANES)
def test_block_and_unblock(lanes: int, place: Any, threads: int, isa: str) -> None:
    for shape in SHAPES:
        x = normal(shape)
        for gaps in (0, 3):
            (y,) = run("block", [place(x)], [room(shape, lanes, gaps)], threads, channels=shape[1])
            assert np.array_equal(plain(y, shape[1]), x)
            back = place(np.full(shape, np.nan, np.float32))
            run("unblock", [y], [back], threads, channels=shape[1])
            assert np.array_equal(back, x)
            if back.base is not None:
                back[...] = 7
                assert (back.base == 7).all(), "written outside"


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_worth_threads(threads: int) -> None:
    x = normal((3, 70, 56, 57))
    (y,) = run("block", [x], [room(x.shape, 16, 1)], threads, channels=70)
    assert np.array_equal(plain(y, 70), x)
    (back,) = run("unblock", [y], [np.zeros_like(x)], threads, channels=70)
    assert np.array_equal(back, x)


@pytest.mark.parametrize("lanes", LANES)
def test_channels_of_single_pixels_may_lie_side_by_side(lanes: int, isa: str) -> None:
    x = channels_last(normal((3, 21, 6, 1)))
    (y,) = run("block", [x], [room(x.shape, lanes)], channels=21)
    assert np.array_equal(plain(y, 21), x)
    (back,) = run("unblock", [y], [channels_last(np.zeros_like(x))], channels=21)
    assert np.array_equal(back, x)


def numbers(layer: Layer) -> dict[str, Any]:
    row = layer.usable(layer.op.forwards(layer.attrs, layer.sig)[0])[0]
    assert row.attrs is not None
    return dict(row.attrs(layer.attrs, layer.sig))


def both(layer: Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the plain kernel makes of x, and the reference."""
    made, wanted = layer.run({"x": x})
    return made["y"], wanted["y"]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize(("shape", "options"), WINDOWS.values(), ids=WINDOWS)
def test_pooling(shape: tuple[int, ...], options: dict, pool: str, lanes: int, isa: str) -> None:
    shape = (*shape[:1], max(shape[1], 11), *shape[2:])
    layer = Layer.of(Pooling, PoolingAttrs(pool=pool, **options), shape).without("index")
    x = normal(shape)
    expected, wanted = both(layer, x)
    symbol = "max_pool_blocked" if pool == "MAX" else "mean_pool_blocked"
    told = {**numbers(layer), "channels": shape[1]}
    bits = set()
    for threads, gaps in ((1, 0), (2, 3)):
        source = blocked(x, lanes, gaps)
        (y,) = run(symbol, [source], [room(expected.shape, lanes, 3 - gaps)], threads, **told)
        made = plain(y, shape[1])
        bits.add(made.tobytes())
        if pool == "MAX":
            assert np.array_equal(made, expected)
        else:
            close(made, wanted)
    assert len(bits) == 1


@pytest.mark.parametrize("lanes", LANES)
def test_every_instruction_set_gives_the_same_means(
    lanes: int, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shape, options in WINDOWS.values():
        x = normal(shape)
        layer = Layer.of(Pooling, PoolingAttrs(pool="AVE", **options), shape)
        target = room(layer.sig.outs["y"].shape, lanes)
        told = {**numbers(layer), "channels": shape[1]}
        (y,) = run("mean_pool_blocked", [blocked(x, lanes)], [target], **told)
        made = y.tobytes()
        with monkeypatch.context() as other:
            other.setenv("GRAPHC_ISA", "portable")
            (y,) = run("mean_pool_blocked", [blocked(x, lanes)], [target], **told)
        assert y.tobytes() == made


@pytest.mark.parametrize("lanes", LANES)
def test_maxima_of_ties_zeros_and_special_values(lanes: int, isa: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.choice([0.0, -0.0, np.nan, -np.inf, -FLT_MAX], (2, 11, 9, 13)).astype(np.float32)
    for options in ({"kernel_size": 3, "stride": 2}, {"kernel_size": 1, "stride": 4}):
        layer = Layer.of(Pooling, PoolingAttrs(**options), x.shape).without("index")
        expected, _ = both(layer, x)
        told = {**numbers(layer), "channels": 11}
        (y,) = run("max_pool_blocked", [blocked(x, lanes)], [room(expected.shape, lanes)], **told)
        assert plain(y, 11).tobytes() == expected.tobytes()


@pytest.mark.parametrize("lanes", LANES)
def test_windows_outside_leave_the_padding_zero(lanes: int) -> None:
    """Their maximum is -FLT_MAX, their mean 0 / 0 or 0 / -1, but not in channels that are none."""
    x = np.ones((1, 3, 6, 6), np.float32)
    for stride in (3, 4):
        for pool, symbol in (("MAX", "max_pool_blocked"), ("AVE", "mean_pool_blocked")):
            attrs = PoolingAttrs(pool=pool, kernel_size=1, stride=stride)
            layer = Layer.of(Pooling, attrs, x.shape).without("index")
            expected, _ = both(layer, x)
            told = {**numbers(layer), "channels": 3}
            (y,) = run(symbol, [blocked(x, lanes)], [room(expected.shape, lanes)], **told)
            assert np.array_equal(plain(y, 3), expected, equal_nan=True)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("size", [(7, 7), (13, 11), (56, 57)])
def test_means_of_whole_planes_leave_the_blocks(size: Any, lanes: int, isa: str) -> None:
    x = normal((3, 37, *size)) + np.float32(3)
    layer = Layer.of(Pooling, PoolingAttrs(pool="AVE", global_pooling=True), x.shape)
    _, wanted = both(layer, x)
    told = {**numbers(layer), "channels": 37}
    inside = run("mean_pool_blocked", [blocked(x, lanes)], [room((3, 37, 1, 1), lanes)], **told)
    for place in (np.array, gapped, channels_last):
        y = place(np.zeros((3, 37, 1, 1), np.float32))
        run("mean_pool_blocked", [blocked(x, lanes, 2)], [y], 2, **told)
        close(y, wanted)
        assert np.array_equal(y, plain(inside[0], 37))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("beta", [0.5, 0.75, 0.8, 0.0])
def test_lrn(beta: float, lanes: int, isa: str) -> None:
    for shape, attrs in NORMS.values():
        if attrs.norm_region == WITHIN:
            continue
        x = normal(shape)
        layer = Layer.of(LRN, type(attrs)(**(vars(attrs) | {"beta": beta})), shape)
        expected, wanted = both(layer, x)
        told = {**numbers(layer), "channels": shape[1]}
        for threads, gaps in ((1, 0), (3, 2)):
            target = room(shape, lanes, 2 - gaps)
            run("lrn_across_blocked", [blocked(x, lanes, gaps)], [target], threads, **told)
            made = plain(target, shape[1])
            close(made, wanted)
            assert made.tobytes() == expected.tobytes()


@pytest.mark.parametrize("lanes", LANES)
def test_lrn_within(lanes: int, isa: str) -> None:
    for shape, attrs in NORMS.values():
        if attrs.norm_region != WITHIN:
            continue
        x = normal(shape)
        _, wanted = both(Layer.of(LRN, attrs, shape), x)
        told = {**numbers(Layer.of(LRN, attrs, shape)), "channels": shape[1]}
        bits = set()
        for threads, gaps in ((1, 0), (3, 2)):
            source, target = blocked(x, lanes, gaps), room(shape, lanes, 2 - gaps)
            run("lrn_within_blocked", [source], [target], threads, **told)
            close(plain(target, shape[1]), wanted)
            bits.add(plain(target, shape[1]).tobytes())
        assert len(bits) == 1


def test_lrn_within_blocks_is_for_training() -> None:
    for phase, count in (("TRAIN", 2), ("TEST", 1)):
        layer = Layer.of(LRN, LRN.Attrs(norm_region=WITHIN), (2, 32, 8, 8), phase=phase)
        (part,) = layer.op.forwards(layer.attrs, layer.sig)
        assert len({row.formats for row in layer.usable(part)}) == count


@pytest.mark.parametrize("lanes", LANES)
def test_nan_does_not_reach_the_padding_of_lrn(lanes: int, isa: str) -> None:
    x = normal((2, 11, 5, 4))
    x[0, 10, 2, 2], x[1, 9, 0, 0], x[1, :, 1, 1] = np.nan, np.inf, 0
    layer = Layer.of(LRN, LRN.Attrs(k=0.0), x.shape)
    expected, _ = both(layer, x)
    assert np.isnan(expected[1, :, 1, 1]).all()
    told = {**numbers(layer), "channels": 11}
    (y,) = run("lrn_across_blocked", [blocked(x, lanes)], [room(x.shape, lanes)], **told)
    assert np.array_equal(plain(y, 11), expected, equal_nan=True)


PLAIN = ("f32", (2, 11, 8, 8), None)
IN = ("f32", (2, 2, 8, 8, 8), None)
HALF = {"kernel": (2, 2), "stride": (2, 2), "pad": (0, 0), "channels": 11}
LARGE = {"kernel": (17, 17), "stride": (2, 2), "pad": (8, 8), "channels": 11}
OUT = ("f32", (2, 2, 4, 4, 8), None)
NORM = {"radius": 2, "shift": 1.0, "share": 0.1, "beta": 0.75, "channels": 11}


@pytest.mark.parametrize(
    ("symbol", "reads", "writes", "attrs", "word"),
    [
        ("block", [PLAIN], [IN], {}, "channels"),
        ("block", [PLAIN], [IN, IN], {"channels": 11}, "writes one"),
        ("block", [PLAIN], [IN], {"channels": 17}, "blocks of 8 or 16"),
        ("block", [PLAIN], [IN], {"channels": 8}, "blocks of 8 or 16"),
        ("block", [PLAIN], [IN], {"channels": -5}, "blocks of 8 or 16"),
        ("block", [PLAIN], [IN], {"channels": 12}, "differ in shape"),
        ("block", [PLAIN], [PLAIN], {"channels": 11}, "blocks of 8 or 16"),
        ("block", [PLAIN], [("f32", (2, 3, 8, 8, 4), None)], {"channels": 11}, "8 or 16"),
        ("block", [PLAIN], [("i32", (2, 2, 8, 8, 8), None)], {"channels": 11}, "8 or 16"),
        ("block", [("i32", *PLAIN[1:])], [IN], {"channels": 11}, "differ in shape"),
        ("block", [PLAIN], [("f32", IN[1], (1024, 512, 72, 8, 1))], {"channels": 11}, "gaps"),
        ("block", [PLAIN], [("f32", (2, 2, 8, 9, 8), None)], {"channels": 11}, "differ in"),
        ("unblock", [IN], [IN], {"channels": 11}, "4 axes"),
        ("unblock", [IN], [("f32", (2, 11, 8, 8), (704, 1, 88, 11))], {"channels": 11}, "gaps"),
        ("max_pool_blocked", [IN], [OUT, OUT], HALF, "index does not fit"),
        ("max_pool_blocked", [IN], [OUT, ("u8", *IN[1:])], HALF, "index does not fit"),
        ("max_pool_blocked", [IN], [OUT, ("u8", *OUT[1:])] * 2, HALF, "or an index"),
        ("max_pool_blocked", [IN], [OUT, ("u8", *OUT[1:])], LARGE, "index does not fit"),
        ("mean_pool_blocked", [IN], [OUT, OUT], HALF, "writes one"),
        ("max_pool_blocked", [IN], [("f32", (1, 2, 4, 4, 8), None)], HALF, "fit together"),
        ("max_pool_blocked", [IN], [("f32", (2, 1, 4, 4, 16), None)], HALF, "fit together"),
        ("max_pool_blocked", [IN], [OUT], HALF | {"stride": (0, 1)}, "stride"),
        ("mean_pool_blocked", [PLAIN], [OUT], HALF, "blocks of 8 or 16"),
        ("mean_pool_blocked", [IN], [("f32", (2, 11, 4, 4), None)], HALF, "fit together"),
        ("mean_pool_blocked", [IN], [("f32", (2, 12, 1, 1), None)], HALF, "fit together"),
        ("lrn_across_blocked", [IN], [OUT], NORM, "differ in shape"),
        ("lrn_across_blocked", [IN, IN], [IN], NORM, "one operand"),
        ("lrn_within_blocked", [IN], [OUT], NORM, "differ in shape"),
        ("lrn_within_blocked", [IN], [PLAIN], NORM, "blocks of 8 or 16"),
        ("lrn_across_blocked", [IN], [IN], NORM | {"radius": -1}, "negative"),
    ],
)
def test_wrong_problems_are_refused(symbol, reads, writes, attrs, word) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(symbol, reads, writes, attrs)
    assert caught.value.code == "GC-A001"
