"""Stages of the GPU probe that need a device, run on a stand-in for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fake_cupy
import pytest
from bench.probe import kernels, workload
from bench.probe.child import run_stage as run_child
from bench.probe.facts import Facts
from bench.probe.runner import read_facts
from bench.probe.stages import capture, copies, launch


def on_stand_in(module: Any, tmp_path: Path, status: str) -> dict[str, Any]:
    """Run a stage in this process on the stand-in for CuPy."""
    file = tmp_path / f"{module.__name__}.jsonl"
    assert run_child(module.__name__, Facts(file), 60, dry=False) == status, file.read_text()
    return read_facts(file)


def test_copies_on_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = fake_cupy.install(monkeypatch).cuda.runtime
    monkeypatch.setattr(copies, "DEVICE_BYTES", 1 << 14)
    monkeypatch.setattr(copies, "BUS_BYTES", (1 << 10, 1 << 12))
    monkeypatch.setattr(copies, "GIB", 1 << 12)
    runtime.pinned_limit = 8 << 12
    facts = on_stand_in(copies, tmp_path, "ok")["facts"]
    assert facts["device_copy_same_bits"] is True and facts["device_copy_gbps"] > 0
    assert set(facts["pinned_copies"]) == {"h2d", "d2h", "both"}
    assert set(facts["pinned_gib_seconds"]) <= {"1", "2", "4", "8"}
    assert copies.rate(2_000_000, 1.0) == 2


def test_launch_on_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cupy.install(monkeypatch)
    monkeypatch.setattr(kernels, "build", lambda arch: {"cubin_bytes": 1})
    facts = on_stand_in(launch, tmp_path, "ok")["facts"]
    assert facts["graph_device_us_per_node"]["n"] == 20
    assert set(facts["host_us_per_launch"]) == {"cupy", "driver"}


@pytest.fixture
def small_step(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The captured step on the stand-in, small, its convolution left out."""
    monkeypatch.setattr(kernels, "build", lambda arch: {"cubin_bytes": 1})
    monkeypatch.setattr(capture, "BATCH", 1)
    monkeypatch.setattr(capture, "CONV", workload.Conv(2, 4, 3, 1, 6, 1))
    monkeypatch.setitem(sys.modules, "cudnn", None)
    return fake_cupy.install(monkeypatch)


def test_capture_on_the_stand_in(small_step: Any, tmp_path: Path) -> None:
    found = on_stand_in(capture, tmp_path, "missing")
    kernels_only = found["facts"]["kernels"]
    assert kernels_only["replays_equal_eager"] == capture.REPLAYS
    assert kernels_only["row_equals_eager_row"] and kernels_only["steps_differ"]
    assert found["missing"][0]["what"] == "nvidia-cudnn-frontend"


@pytest.mark.parametrize("dropped", range(3))
def test_capture_sees_a_spoilt_replay(small_step: Any, tmp_path: Path, dropped: int) -> None:
    """A replay without the ReLU, the copy or the update leaves other bits."""
    fake_cupy.Graph.change = staticmethod(lambda work: work[:dropped] + work[dropped + 1 :])
    found = on_stand_in(capture, tmp_path, "missing")["facts"]["kernels"]
    assert found["replays_equal_eager"] == 0 and not found["row_equals_eager_row"]


def test_capture_without_a_join_fails(
    small_step: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_cupy.Stream, "synchronize", lambda self: None)
    keep = fake_cupy.Stream.wait_event
    monkeypatch.setattr(
        fake_cupy.Stream,
        "wait_event",
        lambda self, event: None if self.capture else keep(self, event),
    )
    found = on_stand_in(capture, tmp_path, "partial")
    assert "Unjoined" in found["failed"][0]["message"]
