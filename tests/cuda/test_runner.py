"""The runner of CUDA kernels on the CPU computes what a GPU does, and sees what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphc.cuda.on_cpu import ORDERS, KernelError, Module, runtimes, unavailable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE = (HERE / "runner_kernels.cu").read_text(encoding="utf-8")
NAMES = "total collectives counts uninitialized<64> two_barriers early_return half_a_warp "
NAMES += "hurried not_in_mask two_collectives neighbour_of_block one_too_many numbers"

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


@pytest.fixture(scope="module")
def module() -> Module:
    return Module(SOURCE, [*NAMES.split(), "transpose<16>"], include=[ROOT / "kernels"])


@pytest.fixture(params=ORDERS)
def ordered(module, request) -> Module:
    module.order(request.param, seed=7)
    return module


def test_static_shared_memory(ordered):
    x, y = np.arange(256, dtype=np.float32).reshape(16, 16), np.zeros((16, 16), np.float32)
    ordered.get_function("transpose<16>")((1,), (16, 16), (x, y))
    np.testing.assert_array_equal(y, x.T)


def test_dynamic_shared_memory_shuffles_and_float_atomics(ordered):
    x, out = np.arange(1000, dtype=np.float32), np.zeros(1, np.float32)
    ordered.get_function("total")((3,), (96,), (x, out, np.int32(1000)), shared_mem=12)
    assert out[0] == 499500


def test_warp_collectives(ordered):
    x, out = np.arange(100, 164, dtype=np.int32), np.zeros((64, 4), np.int32)
    ordered.get_function("collectives")((1,), (64,), (x, out))
    lanes = x.reshape(2, 32)
    np.testing.assert_array_equal(out[:, 0], np.repeat(lanes[:, 3], 32))
    down = np.concatenate([lanes[:, 5:], lanes[:, -5:]], 1)
    np.testing.assert_array_equal(out[:, 1], down.ravel())
    bits = ((lanes % 3 == 0) << np.arange(32, dtype=np.int64)).sum(1).astype(np.uint32)
    np.testing.assert_array_equal(out[:, 2].view(np.uint32), np.repeat(bits, 32))
    np.testing.assert_array_equal(out[:, 3], x.reshape(-1, 2)[:, ::-1].ravel())


def test_integer_atomics(ordered):
    x = np.random.default_rng(0).integers(0, 8, 192).astype(np.int32)
    out = np.zeros(9, np.int32)
    ordered.get_function("counts")((3,), (64,), (x, out))
    np.testing.assert_array_equal(out[:8], np.bincount(x, minlength=8))
    assert out[8] == x.min() - 5


def test_a_deleted_barrier_shows_in_every_order():
    """Whoever reads too early gets NaN; how many do depends on the order."""
    without = "#define FIRST_BARRIER\n" + SOURCE
    module = Module(without, ["transpose<16>"], include=[ROOT / "kernels"])
    x, found = np.arange(256, dtype=np.float32).reshape(16, 16), []
    for order in ORDERS:
        y = np.zeros_like(x)
        module.order(order)
        module.get_function("transpose<16>")((1,), (16, 16), (x, y))
        found.append(y)
        assert np.isnan(y).any() and not np.array_equal(y, x.T)
    assert np.isnan(found[0][0, 1]) and not np.isnan(found[1][0, 1])


def test_a_warp_that_runs_ahead_shows_in_every_order(module):
    x = np.arange(256, dtype=np.float32)
    for order in ORDERS:
        out = np.zeros(256, np.float32)
        module.order(order)
        module.get_function("hurried")((1,), (128,), (x, out))
        assert len({*out[:128]}) > 1, "some warp saw what another made of the second sum"
        assert {*out[128:]} == {x[128:].sum()}


def test_blocks_come_in_several_orders(module):
    found = []
    for order in ORDERS:
        x = np.zeros(8, np.int32)
        module.order(order)
        module.get_function("neighbour_of_block")((8,), (1,), (x,))
        found.append(x.tolist())
    assert found[0] == [*range(1, 9)] and found[1] == [1] * 8 and found[2] not in found[:2]


def test_shuffles_differ_by_seed_and_repeat(module):
    found = []
    for seed in (1, 2, 1):
        x = np.zeros(64, np.int32)
        module.order("shuffled", seed)
        module.get_function("neighbour_of_block")((64,), (1,), (x,))
        found.append(x.tolist())
    assert found[0] == found[2] != found[1]


def test_uninitialized_shared_memory_is_nan_in_every_block(ordered):
    still, moving = np.zeros((3, 64), np.float32), np.zeros((3, 64), np.float32)
    ordered.get_function("uninitialized<64>")((3,), (64,), (still, moving), shared_mem=256)
    for half in (still, moving):
        assert (half[:, :32] == 1).all() and np.isnan(half[:, 32:]).all()


@pytest.mark.parametrize(
    ("name", "threads", "message"),
    [
        ("two_barriers", 64, "divergent barrier: threads wait at lines"),
        ("early_return", 64, "divergent barrier: 24 threads returned, 40 wait"),
        ("half_a_warp", 32, "deadlock: 16 of 32 threads in a warp collective"),
        ("half_a_warp", 16, "names lanes that the block has not"),
        ("not_in_mask", 32, "lane .* is not in its own mask 0000ffff"),
        ("two_collectives", 32, "meet in different collectives"),
    ],
)
def test_stuck_threads_are_reported(ordered, name, threads, message):
    dtype = np.float32 if name in ("two_barriers", "early_return") else np.int32
    with pytest.raises(KernelError, match=f"{name}: .*{message}"):
        ordered.get_function(name)((1,), (threads,), (np.zeros(64, dtype),))
    out = np.zeros(1, np.float32)  # and the next launch is none the worse for it
    x = np.ones(64, np.float32)
    ordered.get_function("total")((1,), (32,), (x, out, np.int32(64)), shared_mem=4)
    assert out[0] == 64


PAIR = np.void((3, 0.5), np.dtype([("times", "i4"), ("number", "f4")]))


def test_structs_numbers_and_null_pointers_are_passed(module):
    out, byte = np.zeros(2), np.array([7], np.uint8)
    call = module.get_function("numbers")
    call((1,), (1,), (PAIR, np.float32(2), np.int64(1), byte, out))
    assert out.tolist() == [0, 10]
    call((1,), (1,), (PAIR, np.float32(2), np.int64(0), None, out))
    assert out.tolist() == [103, 10]


FROZEN = np.zeros(1)
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "takes 5 arguments, not 0"),
        ((1, np.float32(2), np.int64(0), None, np.zeros(1)), "argument 0 is int, wanted v8"),
        ((PAIR, 2.0, np.int64(0), None, np.zeros(1)), "argument 1 is float, wanted f4"),
        ((PAIR, np.float64(2), np.int64(0), None, np.zeros(1)), "argument 1 is float64, wanted f4"),
        ((PAIR, np.float32(2), np.int32(0), None, np.zeros(1)), "argument 2 is int32, wanted i8"),
        (
            (PAIR, np.float32(2), np.int64(0), np.zeros(1, np.int8), np.zeros(1)),
            "argument 3 is int8, wanted &u1",
        ),
        (
            (PAIR, np.float32(2), np.int64(0), None, np.zeros(1, np.float32)),
            r"argument 4 is float32, wanted \*f8",
        ),
        ((PAIR, np.float32(2), np.int64(0), None, FROZEN), "argument 4 is written, but read-only"),
    ],
)
def test_wrong_arguments_are_refused(module, args, message):
    with pytest.raises(KernelError, match=message):
        module.get_function("numbers")((1,), (1,), args)


@pytest.mark.parametrize(
    ("grid", "block"), [((0,), (1,)), ((1,), (1025,)), ((1,), (64, 32)), ((1, 65536), (1,))]
)
def test_extents_that_no_gpu_takes_are_refused(module, grid, block):
    with pytest.raises(KernelError, match="none that a GPU takes"):
        module.get_function("two_barriers")(grid, block, (np.zeros(2, np.float32),))


def test_what_does_not_compile_says_why():
    with pytest.raises(KernelError, match="not_there"):
        Module("__global__ void f(int* x) { *x = not_there; }", ["f"])


SANITIZED = """
import sys
from pathlib import Path
import numpy as np
from graphc.cuda.on_cpu import Module
source, kernels = map(Path, sys.argv[1:])
module = Module(source.read_text(), ["one_too_many", "total"], include=[kernels], sanitized=True)
out = np.zeros(1, np.float32)
x = np.ones(5000, np.float32)
module.get_function("total")((2,), (64,), (x, out, np.int32(5000)), shared_mem=8)
print("total", out[0], flush=True)
module.get_function("one_too_many")((40,), (128,), (x, np.int32(5000)))
print("unseen", flush=True)
"""


def test_a_write_behind_the_end_is_seen_by_the_sanitizer():
    preload = runtimes()
    if not preload:
        pytest.skip("g++ has no sanitizers here")
    environment = os.environ | {"LD_PRELOAD": preload, "PYTHONPATH": str(ROOT / "tools")}
    environment["ASAN_OPTIONS"] = "detect_leaks=0:exitcode=66"
    command = [sys.executable, "-c", SANITIZED, HERE / "runner_kernels.cu", ROOT / "kernels"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 66 and "unseen" not in done.stdout, done.stdout + done.stderr
    assert "total 5000.0" in done.stdout
    assert "heap-buffer-overflow" in done.stderr and "one_too_many" in done.stderr
