"""Single kernels through the binding: "copy", and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import _core
from graphc.errors import GraphError

DTYPES = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "u8": np.uint8}


def _spec(array: np.ndarray) -> tuple:
    name = next(n for n, d in DTYPES.items() if array.dtype == d)
    return name, array.shape, tuple(s // array.itemsize for s in array.strides)


def _copy(source: np.ndarray, target: np.ndarray, threads: int = 1) -> None:
    _core.make_kernel("copy", [_spec(source)], [_spec(target)], {}).run([source], [target], threads)


@pytest.mark.parametrize("name", DTYPES)
def test_copy_takes_any_strides(name: str) -> None:
    base = np.arange(2 * 6 * 5 * 4).reshape(2, 6, 5, 4).astype(DTYPES[name])
    source = base[:, 1:5].transpose(0, 2, 1, 3)
    room = np.zeros((2, 5, 9, 4), DTYPES[name])
    target = room[:, :, 2:6]
    _copy(source, target)
    assert np.array_equal(target, source)
    assert not room[:, :, :2].any() and not room[:, :, 6:].any()


def test_copy_of_scalars_and_of_nothing() -> None:
    target = np.zeros((), np.float32)
    _copy(np.array(3.5, np.float32), target)
    assert target == 3.5
    _copy(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))


def test_copy_in_threads() -> None:
    source = np.random.default_rng(0).standard_normal((3, 70, 90, 4)).astype(np.float32)
    target = np.zeros((3, 90, 70, 4), np.float32)
    _copy(source.transpose(0, 2, 1, 3), target, threads=2)
    assert np.array_equal(target, source.transpose(0, 2, 1, 3))


def test_kernels_are_listed() -> None:
    symbols = _core.kernel_symbols()
    assert "copy" in symbols and symbols == sorted(symbols)


DENSE = ("f32", (2, 3), None)


@pytest.mark.parametrize(
    ("symbol", "reads", "writes", "attrs", "word"),
    [
        ("nothing", [DENSE], [DENSE], {}, "nothing"),
        ("copy", [], [DENSE], {}, "one operand"),
        ("copy", [DENSE], [("i64", (2, 3), None)], {}, "element type"),
        ("copy", [DENSE], [("f32", (3, 2), None)], {}, "shape"),
        ("copy", [("f16", (2, 3), None)], [DENSE], {}, "f16"),
        ("copy", [("f32", (2, -3), None)], [DENSE], {}, "range"),
        ("copy", [("f32", (1 << 40, 1 << 40), None)], [DENSE], {}, "range"),
        ("copy", [("f32", (1 << 70,), None)], [DENSE], {}, "64 bits"),
        ("copy", [("f32", (1,) * 9, None)], [DENSE], {}, "9 axes"),
        ("copy", [("f32", (2, 3), (1,))], [DENSE], {}, "strides"),
        ("copy", [("f32", (2, 3), (-3, 1))], [DENSE], {}, "strides"),
        ("copy", ["f32"], [DENSE], {}, "spec"),
        ("copy", [("f32", "ab", None)], [DENSE], {}, "sequence"),
        ("copy", [DENSE], [DENSE], {"a": None}, "parameter a"),
        ("copy", [DENSE], [DENSE], {"a": ("x",)}, "parameter a"),
        ("copy", [DENSE], [DENSE], {1: 1}, "no text"),
    ],
)
def test_wrong_problems_are_refused(symbol, reads, writes, attrs, word) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(symbol, reads, writes, attrs)
    assert caught.value.code == "GC-A001"


def test_wrong_arrays_are_refused() -> None:
    kernel = _core.make_kernel("copy", [DENSE], [DENSE])
    good = np.zeros((2, 3), np.float32)
    frozen = good.copy()
    frozen.flags.writeable = False
    for reads, writes in (
        ([good], []),
        ([good.astype(np.float64)], [good]),
        ([good.T], [good]),
        ([good], [np.zeros((4, 3), np.float32)[::2]]),
        ([good], [frozen]),
    ):
        with pytest.raises(GraphError) as caught:
            kernel.run(reads, writes)
        assert caught.value.code == "GC-R001"
    with pytest.raises(GraphError) as caught:
        kernel.run([good], [good.copy()], threads=0)
    assert caught.value.code == "GC-R004"
