"""Training with a host pool: transfers run beside the calls, and nothing comes out otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from train.test_same_bits import MODELS, SOLVER, Weights, differ, feeds

import graphc
from graphc import _core
from graphc.errors import GraphError
from graphc.plan import Plan, StepKind
from graphc.plan.facts import Facts
from graphc.plan.hosted import plan_hosted
from graphc.plan.replays import unrolled
from graphc.plan.segments import Segments
from graphc.plan.stays import sendable, streamable
from graphc.program import Program
from graphc.runtime import _plans

NETS = ("lenet", "cifar10_quick", "resnet20")


@contextmanager
def sending_all(room: int, is_replaying: bool) -> Iterator[list[Plan]]:
    """What is compiled meanwhile sends all it can, weights and their history too."""
    made: list[Plan] = []

    def plan(program: Program, budget: int | None = None) -> Plan:
        facts = Facts(program)
        choice = Segments(facts).speed_centric() if is_replaying else {}
        roots = sendable(unrolled(facts, choice).program) | streamable(program)
        made.append(plan_hosted(facts, choice, sorted(roots), room))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plans, "plan_program", plan)
        yield made


def learned(folder: Path, name: str, check: tuple[str, ...] = ()) -> Weights:
    """The weights after three steps on four samples."""
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(MODELS / name / "train.prototxt"))
    solver = graphc.Solver(path, batch=4)
    solver.net._executor.check = dict.fromkeys(check, True)
    solver.step(3, feeds(solver.net.graph))
    blobs = solver.net.params.items()
    return {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


@pytest.mark.parametrize("is_replaying", [False, True], ids=["kept", "replayed"])
@pytest.mark.parametrize("name", NETS)
def test_networks_learn_the_same(name: str, is_replaying: bool, tmp_path: Path) -> None:
    plain = learned(tmp_path, name)
    assert all(np.isfinite(blob).all() for blob in plain.values())
    for room in (0, 100_000, 1 << 40):
        with sending_all(room, is_replaying) as plans:
            assert not differ(plain, learned(tmp_path, name))
            assert not differ(plain, learned(tmp_path, name, ("poison",)))
            assert not differ(plain, learned(tmp_path, name, ("audit",)))
        kinds = [step.kind for plan in plans for step in plan.steps]
        assert kinds.count(StepKind.IN) > 10
        assert kinds.count(StepKind.OUT) > 5


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_the_pool_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = learned(tmp_path, "lenet")
    folder = tmp_path / "pool"
    folder.mkdir()
    monkeypatch.setenv("GRAPHC_HOST", str(folder))
    with sending_all(1 << 40, is_replaying=False):
        assert not differ(plain, learned(tmp_path, "lenet"))
    assert not [*folder.iterdir()]
    monkeypatch.setenv("GRAPHC_HOST", str(folder / "missing"))
    with sending_all(0, is_replaying=False), pytest.raises(GraphError, match="GC-F002"):
        learned(tmp_path, "lenet")


def test_two_at_once_learn_the_same(tmp_path: Path) -> None:
    plain = learned(tmp_path, "lenet")
    with sending_all(1 << 40, is_replaying=True), ThreadPoolExecutor(2) as pool:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        found = pool.map(lambda name: learned(tmp_path / name, "lenet"), ("one", "two"))
        assert not any(differ(plain, each) for each in found)


def test_an_error_ends_the_copies_too(tmp_path: Path) -> None:
    with sending_all(1 << 40, is_replaying=False):
        path = tmp_path / "solver.prototxt"
        path.write_text(SOLVER.format(MODELS / "lenet" / "train.prototxt"))
        solver = graphc.Solver(path, batch=4, threads=1)
        given = feeds(solver.net.graph)
        before = threads()
        wrong = given | {name: np.full(4, 99) for name in given if given[name].ndim < 4}
        with pytest.raises(GraphError, match="GC-D003"):
            solver.step(1, wrong)
        assert threads() == before
        assert np.isfinite(solver.step(1, given))
        assert threads() == before


def session(pages: list[_core.Pages], waits: list[int], stream: int = 1) -> _core.Session:
    """A host step, and a copy of 64 bytes from the first region to the second."""
    row, nothing = ("u8", (64,), (1,)), (0, 0, 0)
    common = {"symbol": "", "attrs": {}, "workspace": nothing}
    common |= {"poison_before": [], "poison_after": []}
    asks = _core.Step(name="asks", reads=[], writes=[], read_places=[], write_places=[], **common)
    copies = _core.Step(
        name="copies",
        reads=[row],
        writes=[row],
        read_places=[(0, 0, 64)],
        write_places=[(1, 0, 64)],
        stream=stream,
        waits=waits,
        **common,
    )
    return _core.Session(pages, [[asks, copies]], 1)


def test_a_run_that_is_interrupted_leaves_no_thread() -> None:
    pages = [_core.Pages(64), _core.Pages(64)]
    source, target = (np.frombuffer(memoryview(p), np.uint8) for p in pages)
    made, before = session(pages, [0]), threads()

    def interrupt(step: int) -> None:
        raise KeyboardInterrupt

    def fill(step: int) -> None:
        source[:] = 7

    with pytest.raises(KeyboardInterrupt):
        made.run(0, interrupt)
    assert threads() == before
    assert not target.any()
    made.run(0, fill)
    assert (target == 7).all()
    assert threads() == before


@pytest.mark.parametrize(("waits", "stream"), [([1], 1), ([-1], 1), ([0], 8), ([0], -1)])
def test_the_core_refuses_streams_that_cannot_be(waits: list[int], stream: int) -> None:
    with pytest.raises(GraphError, match="GC-A001"):
        session([_core.Pages(64), _core.Pages(64)], waits, stream)
