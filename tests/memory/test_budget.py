"""Budgets: how they are spelled, what obeys them, and what is told where they are too small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from texts import conv, fc, feed, graph, layer, softmax_loss

import graphc
from graphc.budget import check_budget, checked_size, over_budget, physical_memory
from graphc.errors import GraphError

NET = feed(data=(2, 3, 12, 12)) + conv("data", "c", 8) + layer("ReLU", "c", "c") + fc("c", "y", 5)
TRAIN = (
    layer(
        "DummyData",
        "",
        "data label",
        "dummy_data_param { shape { dim: 8 dim: 3 dim: 9 dim: 9 } shape { dim: 8 } }",
    )
    + conv("data", "c", 4)
    + fc("c", "y", 5)
    + softmax_loss("y")
)


@pytest.mark.parametrize(
    ("told", "nbytes"),
    [
        ("6GiB", 6 << 30),
        ("500MB", 500_000_000),
        ("12000000000B", 12_000_000_000),
        ("1.5 gib", 3 << 29),
        ("0.1kB", 100),
        (" 7 KiB ", 7 << 10),
        ("2TB", 2 * 10**12),
        (123, 123),
        (1 << 62, 1 << 62),
    ],
)
def test_sizes(told: str | int, nbytes: int) -> None:
    assert checked_size(told) == nbytes


@pytest.mark.parametrize(
    "told",
    [
        *("", "6", "GiB", "6 apples", "-1GiB", "1e9B", "inf", "6GiB!", "0B", "0.4B", 0, -5, 1.5),
        *(True, "9" * 99 + "B", "1" * 5_000 + "TiB", (1 << 62) + 1, None, [], "٣B", "1..5GB"),
    ],
)
def test_what_is_no_size(told: object) -> None:
    with pytest.raises(GraphError, match="GC-R004") as error:
        checked_size(told)
    assert "6GiB" in error.value.hint
    assert len(str(error.value)) < 400


def test_a_plan_may_fill_its_budget_to_the_byte() -> None:
    plan = graphc.plan(graph(NET))
    check_budget(plan, plan.peak_bytes)
    check_budget(plan, None)
    assert over_budget(plan, plan.peak_bytes) == ""
    with pytest.raises(GraphError, match="GC-M001") as error:
        check_budget(plan, plan.peak_bytes - 1)
    assert error.value.exit_code == 5
    assert plan.owner is not None
    for fact in (f"{plan.peak_bytes:,} B", "1 B over", plan.owner.name, f"step {plan.owner.step}"):
        assert fact in error.value.message


def test_physical_memory_is_there_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert physical_memory() is None or (physical_memory() or 0) > 1 << 20
    monkeypatch.setattr("os.sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert physical_memory() is None


def test_compile_obeys() -> None:
    net = graph(NET)
    free = graphc.compile(net, threads=1)
    exact = graphc.compile(net, threads=1, memory=free.plan.peak_bytes)
    x = np.ones((2, 3, 12, 12), np.float32)
    np.testing.assert_array_equal(exact.run({"data": x})["y"], free.run({"data": x})["y"])
    with pytest.raises(GraphError, match="GC-M001") as error:
        graphc.compile(net, threads=1, memory=f"{free.plan.peak_bytes - 1}B")
    assert "--largest-batch" in error.value.hint


def test_larger_inputs_obey_too_and_leave_the_network_usable() -> None:
    free = graphc.compile(graph(NET), threads=1)
    exe = graphc.compile(graph(NET), threads=1, memory=free.plan.peak_bytes)
    small = {"data": np.ones((2, 3, 12, 12), np.float32)}
    before = exe.run(small)["y"]
    with pytest.raises(GraphError, match="GC-M001"):
        exe.run({"data": np.ones((64, 3, 12, 12), np.float32)})
    np.testing.assert_array_equal(exe.run(small)["y"], before)


def test_the_reference_has_no_plan() -> None:
    with pytest.raises(GraphError, match="GC-U001"):
        graphc.compile(graph(NET), target="reference", memory="1GiB")
    with pytest.raises(GraphError, match="GC-R004"):
        graphc.compile(graph(NET), memory="much")


def test_a_solver_obeys(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(TRAIN)
    path = tmp_path / "solver.prototxt"
    path.write_text(f'net: "{tmp_path}/net.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    free = graphc.Solver(path, threads=1)
    peak = free.net.plan.peak_bytes
    exact = graphc.Solver(path, threads=1, memory=peak)
    assert exact.step(1) == free.step(1)
    with pytest.raises(GraphError, match="GC-M001"):
        graphc.Solver(path, threads=1, memory=peak - 1)
    with pytest.raises(GraphError, match="GC-U001"):
        graphc.Solver(path, target="reference", memory=peak)


def test_a_test_net_obeys_too(tmp_path: Path) -> None:
    many = TRAIN.replace("dim: 8", "dim: 64")
    split = TRAIN.replace('type: "DummyData"', 'type: "DummyData" include { phase: TRAIN }')
    tested = many.splitlines()[0].replace(
        'type: "DummyData"', 'type: "DummyData" include { phase: TEST }'
    )
    (tmp_path / "net.prototxt").write_text(tested + "\n" + split)
    path = tmp_path / "solver.prototxt"
    fields = 'base_lr: 0.1 lr_policy: "fixed" test_iter: 1 test_interval: 10'
    path.write_text(f'net: "{tmp_path}/net.prototxt" {fields}')
    free = graphc.Solver(path, threads=1)
    train, test = free.net.plan.peak_bytes, free.tests[0].plan.peak_bytes
    assert test > train
    both = free.memory_bytes
    assert train < both == train + free.tests[0].own_bytes
    assert graphc.Solver(path, threads=1, memory=both).memory_bytes == both
    with pytest.raises(GraphError, match=r"GC-M001: training takes .* B, and testing .* B"):
        graphc.Solver(path, threads=1, memory=both - 1)
