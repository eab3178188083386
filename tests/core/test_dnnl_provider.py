"""What oneDNN's kernels refuse, what can be asked of them, threads and instruction sets."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core.dnnl_cases import EMPTY, conv, convolve, needs_onednn, room_for, told_conv
from core.gemm_cases import filled
from core.rows import Layer, spec

from graphc import _core
from graphc.errors import GraphError

pytestmark = needs_onednn
HERE = Path(__file__).resolve().parent

SMALL = conv((1, 32, 6, 6), 32)
X, Y = spec(room_for((1, 32, 6, 6))), spec(room_for((1, 32, 4, 4)))
BIAS, WEIGHT = ("f32", (32,), None), ("f32", (32, 32, 3, 3), None)
LESS = (*X[1][:3], 5, X[1][4])


@pytest.mark.parametrize(
    ("attrs", "reads", "y"),
    [
        ({"axis": 0}, [X, EMPTY, BIAS], Y),
        ({"block": 4}, [X, EMPTY, BIAS], Y),
        ({"batch": 0}, [X, EMPTY, BIAS], Y),
        ({"batch": 2}, [X, EMPTY, BIAS], Y),
        ({"channels": 64}, [X, EMPTY, BIAS], Y),
        ({"channels": 1 << 40}, [X, EMPTY, BIAS], Y),
        ({"channels": 1 << 30, "outputs": 1 << 30, "batch": 1 << 30}, [X, EMPTY, BIAS], Y),
        ({"outputs": 64}, [X, EMPTY, BIAS], Y),
        ({"group": 4}, [X, EMPTY, BIAS], Y),
        ({"plain": True}, [X, EMPTY, BIAS], Y),
        ({"residual": True}, [X, EMPTY, BIAS], Y),
        ({"residual": True}, [X, EMPTY, BIAS, X], Y),
        ({"kernel": (3, 3, 3)}, [X, EMPTY, BIAS], Y),
        ({"size": (9, 9)}, [X, EMPTY, BIAS], Y),
        ({}, [X, EMPTY], Y),
        ({}, [], Y),
        ({}, [X, ("f32", (7,), None), BIAS], Y),
        ({}, [X, EMPTY, ("f32", (31,), None)], Y),
        ({}, [("f32", LESS, None), EMPTY, BIAS], Y),
        ({}, [("f32", X[1], (1 << 20, 600, 100, 16, 1)), EMPTY, BIAS], Y),
        ({}, [("i32", X[1], None), EMPTY, BIAS], Y),
        ({}, [X, EMPTY, BIAS], X),
    ],
)
def test_unfit_convolutions_are_refused(attrs: dict, reads: list, y: Any) -> None:
    good = told_conv(SMALL)
    assert _core.kernel_fits("dnnl_conv", [X, EMPTY, BIAS], [Y], good)
    with pytest.raises(GraphError) as caught:
        _core.make_kernel("dnnl_conv", reads, [y], good | attrs)
    assert caught.value.code == "GC-A001"
    assert not _core.kernel_fits("dnnl_conv", reads, [y], good | attrs)


def test_unfit_weights_and_products_are_refused() -> None:
    good = told_conv(SMALL)
    product = {"axis": 1, "batch": 2, "depth": 5, "outputs": 3}
    x, y, weight = (("f32", dims, None) for dims in ((2, 5), (2, 3), (3, 5)))
    size = _core.make_kernel("dnnl_conv_pack", [WEIGHT], [EMPTY], good).packed
    _core.make_kernel("dnnl_conv_pack", [WEIGHT], [("f32", (size,), None)], good)
    _core.make_kernel("dnnl_inner_product", [x, EMPTY], [y], product)
    for symbol, reads, writes, attrs in (
        ("dnnl_conv_pack", [WEIGHT], [("f32", (size + 1,), None)], good),
        ("dnnl_conv_pack", [BIAS], [EMPTY], good),
        ("dnnl_conv_pack", [WEIGHT, BIAS], [EMPTY], good),
        ("dnnl_inner_product", [x], [y], product),
        ("dnnl_inner_product", [y, EMPTY], [y], product),
        ("dnnl_inner_product", [x, EMPTY], [x], product),
        ("dnnl_inner_product", [x, EMPTY], [y], product | {"axis": 0}),
        ("dnnl_inner_product", [x, EMPTY], [y], product | {"batch": 0}),
        ("dnnl_inner_product", [x, weight], [y], product | {"bias": True}),
        ("dnnl_inner_product_pack", [x], [EMPTY], product),
    ):
        with pytest.raises(GraphError, match="GC-A001"):
            _core.make_kernel(symbol, reads, writes, attrs)


def test_a_kernel_without_its_weight_tells_and_does_not_run() -> None:
    kernel = _core.make_kernel("dnnl_conv", [X, EMPTY, BIAS], [Y], told_conv(SMALL))
    reads = [np.zeros(s[1], np.float32) for s in (X, EMPTY, BIAS)]
    assert kernel.packed >= 32 * 32 * 9
    with pytest.raises(GraphError, match=r"GC-C002.*without its weight"):
        kernel.run(reads, [np.zeros(Y[1], np.float32)])
    pack = _core.make_kernel("dnnl_conv_pack", [WEIGHT], [EMPTY], told_conv(SMALL))
    with pytest.raises(GraphError, match=r"GC-C002.*without its weight"):
        pack.run([np.zeros(WEIGHT[1], np.float32)], [np.zeros(0, np.float32)])
    assert _core.make_kernel("copy", [X], [X]).packed == 0


def test_kernels_run_in_several_threads_at_once() -> None:
    layers = [
        conv((2, channels, 17, 17), outputs, pad=1, group=group)
        for channels, outputs, group in ((64, 64, 1), (20, 33, 1), (48, 48, 48), (3, 16, 1))
    ]

    def work(layer: Layer) -> list[bytes]:
        values = filled(layer)
        plain_x = values["x0"].shape[1] == 3
        return [convolve(layer, values, plain_x=plain_x, threads=2).tobytes() for _ in range(8)]

    alone = [work(layer) for layer in layers]
    with ThreadPoolExecutor(len(layers)) as pool:
        assert list(pool.map(work, layers)) == alone


def test_the_callers_openmp_threads_stay_what_they_are() -> None:
    openmp = ctypes.CDLL("libgomp.so.1")
    before = openmp.omp_get_max_threads()
    for threads in (1, before + 3):
        convolve(SMALL, filled(SMALL), threads=threads)
        assert openmp.omp_get_max_threads() == before


SWITCH = """
import os
from graphc import _core
from graphc.errors import GraphError

def offered():
    listed = {s for s in _core.kernel_symbols() if s.startswith("dnnl_")}
    assert bool(listed) == (_core.channel_block() > 0)
    try:
        _core.make_kernel("dnnl_max_pool", [], [])
    except GraphError as error:
        assert error.code == "GC-A001" and ("not bound" in str(error)) == (not listed), error
    return _core.channel_block()

for isa in ("portable", "avx2", "avx512", "portable", "avx2"):
    os.environ["GRAPHC_ISA"] = isa
    print(offered(), end=" ")
assert _core.onednn_version()
os.environ["GRAPHC_ISA"] = "abacus"
for ask in (_core.kernel_symbols, _core.channel_block):
    try:
        ask()
    except GraphError as error:
        print(error.code, end=" ")
"""


def test_the_first_instruction_set_binds_onednn() -> None:
    done = subprocess.run([sys.executable, "-c", SWITCH], capture_output=True, text=True)
    known = "0 8 8 0 8" if _core.channel_block() == 8 else "0 8 0 0 8"
    assert done.stdout == f"{known} GC-R004 GC-R004 ", done.stderr


def test_blocks_of_eight() -> None:
    """What the neighbours of this file test, under AVX2."""
    if _core.channel_block() == 8:
        pytest.skip("the other tests run under AVX2 already")
    chosen = "test_blocked or test_plain or slices or epilogues or image"
    files = [str(HERE / f"test_dnnl_{name}.py") for name in ("kernels", "images")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files]
    environment = os.environ | {"GRAPHC_ISA": "avx2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout
