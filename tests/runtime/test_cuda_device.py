"""The CUDA device on a stand-in for CuPy: order of what is queued, captures, and what goes wrong.

Kernels run on the CPU by the runner of `graphc.cuda.on_cpu`; nothing here has met a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_cupy
import numpy as np
import pytest

from graphc.cuda import Launch, Spec, nvrtc, work
from graphc.cuda.launch import Operand
from graphc.errors import GraphError
from graphc.runtime import _gpu, _gpu_kernels
from graphc.runtime._gpu_kernels import packed
from graphc.runtime.cuda import SLOTS, CudaDevice
from graphc.runtime.device import Entry

X = Spec("f32", (1000,))
COPY: Launch = work("copy", {}, [X], [X]).launches[0]


class Queued:
    """Kernels in the place of the driver's: `copy` alone, when its stream comes to it."""

    def load(self, launches: Any) -> None:
        pass

    def launch(self, launch: Launch, args: Any, stream: int) -> None:
        operands = [arg for arg, told in zip(args, launch.args, strict=True) if _is_place(told)]
        source, target = operands
        nbytes = 4 * X.size
        fake_cupy.Stream.by_address[stream].enqueue(
            lambda: fake_cupy.Runtime.memcpy(None, target, source, nbytes, 0)
        )


def _is_place(told: Any) -> bool:
    return isinstance(told, Operand)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return fake_cupy.install(monkeypatch)


@pytest.fixture
def device(cupy: ModuleType) -> CudaDevice:
    made = CudaDevice(mode="graph")
    made.kernels = Queued()  # type: ignore[assignment]
    return made


def copied(device: CudaDevice, source: int, target: int) -> None:
    args = [arg if not _is_place(arg) else (source, target)[arg.index] for arg in COPY.args]
    device.launch(COPY, args, 0)


def floats(value: float) -> np.ndarray:
    return np.full(X.size, value, np.float32).view(np.uint8)


def step(device: CudaDevice, a: int, b: int, host: np.ndarray) -> Callable[[], None]:
    """b = a, sent to the host beside it and back to a; events between streams."""

    def queue() -> None:
        copied(device, a, b)
        device.record(1, 0)
        device.wait(1, 1)
        device.copy_out(host, b, 1)
        device.record(2, 1)
        device.wait(2, 2)
        device.copy_in(a, host, 2)

    return queue


def test_an_entry_runs_eagerly_then_as_a_graph_with_all_streams(device: CudaDevice) -> None:
    memory = [device.arena(4 * X.size) for _ in range(2)]
    a, b = (m.address for m in memory)
    host, seen = device.host_arena(4 * X.size), np.empty(4 * X.size, np.uint8)
    queue, calls = step(device, a, b, host), []

    def counted() -> None:
        calls.append(device._is_capturing)
        queue()

    entry = Entry()
    for turn in range(4):
        device.write(a, floats(turn))
        device.run(entry, counted, False)
        device.synchronize()
        device.read(seen, b)
        assert (seen == floats(turn)).all() and (host == floats(turn)).all()
    assert calls == [False, True], "once eagerly, once captured, then the graph alone"


@pytest.mark.parametrize("mode", ["eager", "trace"])
def test_other_modes_never_capture(cupy: ModuleType, mode: str) -> None:
    device = CudaDevice(mode=mode)
    device.kernels = Queued()  # type: ignore[assignment]
    a, b = device.arena(4 * X.size), device.arena(4 * X.size)
    host = device.host_arena(4 * X.size)
    entry = Entry()
    for _ in range(3):
        device.run(entry, step(device, a.address, b.address, host), False)
    assert not device._graphs
    wanted = [COPY.kernel, "copy", "copy"] * 3
    assert device.trace == (wanted if mode == "trace" else [])


def test_an_entry_with_a_host_step_stays_eager(device: CudaDevice) -> None:
    done: list[bool] = []
    entry = Entry()
    for _ in range(3):
        device.run(entry, lambda: device.call_host(lambda: done.append(True), 0), True)
    assert done == [True] * 3 and not device._graphs


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        (lambda d: d.arena(8), "memory is asked for while a graph is captured"),
        (lambda d: d.host_arena(8), "pinned memory is asked for"),
        (lambda d: d.load([COPY]), "a kernel is asked for"),
        (lambda d: d.call_host(lambda: None, 0), "a host step is asked for"),
        (lambda d: fake_cupy.ALLOCATORS[-1](512), "512 B are allocated while"),
    ],
)
def test_nothing_is_made_during_a_capture(
    device: CudaDevice, asks: Callable[[CudaDevice], Any], told: str
) -> None:
    entry = Entry()
    device.run(entry, lambda: None, False)
    with pytest.raises(GraphError, match=told) as caught:
        device.run(entry, lambda: asks(device), False)
    assert caught.value.code == "GC-X002" and not device._is_capturing
    assert not fake_cupy.ALLOCATORS and device.streams[0].capture is None
    device.run(entry, lambda: None, False)


def test_a_step_that_leaves_a_stream_open_would_be_refused(device: CudaDevice) -> None:
    """The stand-in refuses as CUDA does; the device joins what a plan leaves."""
    stream = device.streams[0]
    stream.begin_capture()
    fork = fake_cupy.Event()
    fork.record(stream)
    device.streams[1].wait_event(fork)
    device.streams[1].enqueue(lambda: None)
    with pytest.raises(fake_cupy.CUDARuntimeError, match="Unjoined"):
        stream.end_capture()
    host = device.host_arena(8)
    memory = device.arena(8)
    entry = Entry()
    for _ in range(2):
        device.run(entry, lambda: device.copy_out(host, memory.address, 1), False)


def test_inputs_go_through_pinned_slots_in_turn(device: CudaDevice) -> None:
    memory, seen = device.arena(64), np.empty(8, np.uint8)
    used = []
    for turn in range(4):
        source = np.full(8, turn, np.uint8)
        device.write(memory.address, source)
        source[:] = 99
        device.read(seen, memory.address)
        assert (seen == turn).all()
        used.append(device._slots[device._turn][0].ctypes.data)
    assert len(device._slots) == SLOTS == len({*used}) and used[:2] == used[2:]


def test_a_graph_goes_with_its_plan(device: CudaDevice) -> None:
    entry = Entry()
    for _ in range(2):
        device.run(entry, lambda: None, False)
    assert len(device._graphs) == 1
    del entry
    assert len(device._graphs) == len(device._warm) == 0


def test_memory_is_freed_when_nobody_holds_it(device: CudaDevice, cupy: ModuleType) -> None:
    runtime = cupy.cuda.runtime
    before = len(runtime.memory)
    memory, pinned = device.arena(1000), device.host_arena(1000)[10:20]
    assert len(runtime.memory) == before + 2
    del memory, pinned
    assert len(runtime.memory) == before


def test_too_little_memory_says_what_fits(device: CudaDevice, cupy: ModuleType) -> None:
    cupy.cuda.runtime.room = 5_000
    with pytest.raises(GraphError, match="GPU 0 has 5,000 B free of 5,000 B") as caught:
        device.arena(6_000)
    assert "needs 6,000 B" in caught.value.message and "--memory 5000B" in caught.value.hint
    assert (caught.value.code, caught.value.exit_code) == ("GC-M002", 5)


def test_memory_that_cannot_be_pinned(device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_cupy.Runtime, "pinned_limit", 100)
    with pytest.raises(GraphError, match="1,000 B of the host's memory cannot be pinned") as caught:
        device.host_arena(1000)
    assert caught.value.code == "GC-M002" and "--host" in caught.value.hint


def test_a_lost_device_is_told_with_what_is_safe(device: CudaDevice) -> None:
    def fall(self: object) -> None:
        raise fake_cupy.CUDARuntimeError("cudaErrorECCUncorrectable")

    device.streams[0].synchronize = fall.__get__(device.streams[0])  # type: ignore[method-assign]
    with pytest.raises(GraphError, match="failed while it computed: cudaErrorECC") as caught:
        device.synchronize()
    assert (caught.value.code, caught.value.exit_code) == ("GC-X002", 6)
    assert "--resume" in caught.value.hint
    device.mode = "trace"
    with pytest.raises(GraphError, match="failed in copy: cudaErrorECC"):
        device.copy_in(device.arena(8).address, np.zeros(8, np.uint8), 0)


def test_a_library_that_fails_and_a_cubin_that_is_not_taken(device: CudaDevice) -> None:
    def fails(*told: Any) -> Callable[[int], None]:
        def queue(stream: int) -> None:
            raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")

        return queue

    device.libraries = SimpleNamespace(kernel=fails)  # type: ignore[assignment]
    with pytest.raises(GraphError, match="failed in cudnn eng1: CUDNN_STATUS") as caught:
        device.library("cudnn eng1", "conv", {}, [], [], 0)(0)
    assert caught.value.code == "GC-X002"

    def refuse(launches: Any) -> None:
        raise RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU")

    device.kernels = SimpleNamespace(load=refuse)  # type: ignore[assignment]
    with pytest.raises(GraphError, match="takes no kernel: CUDA_ERROR_NO_BINARY") as caught:
        device.load([COPY])
    assert caught.value.code == "GC-X001"


@pytest.mark.parametrize(
    ("changed", "number", "told"),
    [
        ({"driver": 0}, 0, "there is no NVIDIA driver"),
        ({"driver": 12080}, 0, "the NVIDIA driver is for CUDA 12.8, and 13.0 is needed"),
        ({"devices": 0}, 0, "no GPU 0: there is none"),
        ({}, 3, "no GPU 3: there are 1, counted from 0"),
        ({"capability": (7, 0)}, 0, "NVIDIA H200 is older than what CUDA 13 compiles for, 7.5"),
    ],
)
def test_a_machine_that_cannot(
    cupy: ModuleType, changed: dict[str, Any], number: int, told: str
) -> None:
    for name, value in changed.items():
        setattr(cupy.cuda.runtime, name, value)
    with pytest.raises(GraphError, match=told) as caught:
        CudaDevice(number)
    assert (caught.value.code, caught.value.exit_code) == ("GC-X001", 6) and caught.value.hint


def test_without_cupy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(GraphError, match="needs the package cupy") as caught:
        CudaDevice()
    assert "pip install 'graphc[gpu]'" in caught.value.hint and caught.value.exit_code == 6

    def broken(name: str) -> ModuleType:
        raise RuntimeError("libcudart is of another version\nand more")

    monkeypatch.setattr(_gpu.importlib, "import_module", broken)
    with pytest.raises(GraphError, match="there and broken: RuntimeError: libcudart is of another"):
        CudaDevice()


def test_arguments_are_packed_as_a_launch_takes_them() -> None:
    record = np.array((1, 2.5), [("a", np.int64), ("b", np.float32)])[()]
    storage, pointers = packed([0x1234567890, np.int32(-7), record, np.float32(0.5)])
    starts = (pointers - np.uint64(storage.ctypes.data)).tolist()
    assert starts == [0, 8, 16, 32]
    assert storage[:8].view(np.uint64)[0] == 0x1234567890
    assert storage[8:12].view(np.int32)[0] == -7
    assert storage[16:28].tobytes() == record.tobytes()
    assert storage[32:36].view(np.float32)[0] == 0.5


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[Any]:
    """What NVRTC was asked for; the cache is new."""
    asked: list[Any] = []

    def compile_cubin(source: str, names: Any, arch: int, include: Any) -> nvrtc.Cubin:
        asked.append((source, [*names], arch))
        return nvrtc.Cubin(b"\x7fELF code", {n: f"_Z{n}" for n in names}, {})

    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    monkeypatch.setattr(nvrtc, "compile_cubin", compile_cubin)
    return asked


def test_cubins_are_compiled_once(compiles: list[Any], tmp_path: Any) -> None:
    first = _gpu_kernels.compiled("copy.cu", ["f", "g"], 90)
    assert _gpu_kernels.compiled("copy.cu", ["f", "g"], 90) == first and len(compiles) == 1
    assert compiles[0] == ('#include "copy.cu"\n', ["f", "g"], 90)
    for other in (("pool.cu", ["f", "g"], 90), ("copy.cu", ["f"], 90), ("copy.cu", ["f", "g"], 80)):
        _gpu_kernels.compiled(*other)
    assert len(compiles) == 4
    (tmp_path / "cubins").mkdir(exist_ok=True)
    for path in (tmp_path / "cubins").iterdir():
        path.write_bytes(b"\0\0")
    _gpu_kernels.compiled("copy.cu", ["f", "g"], 90)
    assert len(compiles) == 5, "what is not whole is compiled again"


def test_kernels_are_loaded_and_launched_by_the_driver(compiles: list[Any]) -> None:
    done: list[Any] = []
    driver = SimpleNamespace(
        moduleLoadData=lambda code: done.append(code) or 7,
        moduleGetFunction=lambda module, name: done.append((module, name)) or 8,
        launchKernel=lambda *args: done.append(args),
    )
    gpu: Any = SimpleNamespace(
        capability=90, cupy=SimpleNamespace(cuda=SimpleNamespace(driver=driver))
    )
    kernels = _gpu_kernels.Kernels(gpu)
    kernels.load([COPY, COPY])
    kernels.load([COPY])
    assert done == [b"\x7fELF code", (7, f"_Z{COPY.kernel}")]
    kernels.launch(COPY, [arg if not _is_place(arg) else 1 for arg in COPY.args], 5)
    function, *geometry = done[-1][:8]
    assert function == 8 and geometry == [*COPY.grid, 1, 1, *COPY.block, 1, 1, COPY.shared]
    assert done[-1][8] == 5 and done[-1][10] == 0


def test_a_kernel_that_does_not_compile_is_told(
    compiles: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*told: Any) -> nvrtc.Cubin:
        raise GraphError("GC-X001", "sm_90: error: identifier is undefined")

    monkeypatch.setattr(nvrtc, "compile_cubin", refuse)
    with pytest.raises(GraphError, match="GC-X001: sm_90: error") as caught:
        _gpu_kernels.compiled("copy.cu", ["f"], 90)
    assert caught.value.exit_code == 6
