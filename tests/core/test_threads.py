"""Threads that make, run and drop parts of the C++ core at once, without any in common;
tools/nightly watches them for data races."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from core.rows import cased

from graphc import _core
from graphc.check.case import Case, draw
from graphc.errors import GraphError
from graphc.ops.registry import all_ops

COUNT = 4096
ROW = ("f32", (COUNT,), None)
BYTES = 4 * COUNT
NOTHING: dict[str, Any] = {
    "attrs": {},
    "workspace": (0, 0, 0),
    "poison_before": [],
    "poison_after": [],
}


def _at_once(*works: Callable[[], None]) -> None:
    """Run each in a thread of its own, all starting together; raises what the first one raised."""
    start, raised = threading.Barrier(len(works)), []

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(60)
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def _copy(source: tuple[int, int, int], target: tuple[int, int, int]) -> _core.Step:
    places = {"read_places": [source], "write_places": [target]}
    return _core.Step(name="copy", symbol="copy", reads=[ROW], writes=[ROW], **places, **NOTHING)


def _host() -> _core.Step:
    places: dict[str, Any] = {"read_places": [], "write_places": []}
    return _core.Step(name="host", symbol="", reads=[], writes=[], **places, **NOTHING)


def test_random_streams() -> None:
    def values(layer: int) -> np.ndarray:
        return _core.uniform(count=COUNT, seed=7, step=3, layer=layer, tag=0)

    want = [values(layer) for layer in range(2)]

    def work(layer: int) -> None:
        for _ in range(50):
            assert np.array_equal(values(layer), want[layer])

    _at_once(lambda: work(0), lambda: work(1))


def test_kernels_of_every_layer() -> None:
    cases = [Case(op, i) for op in all_ops().values() for i in range(len(op.samples))]
    layers = [(cased(case), draw(case)) for case in cases if case.op.kernels]
    layers = [
        (layer, values)
        for layer, values in layers
        if all(layer.usable(part) for part in layer.op.forwards(layer.attrs, layer.sig))
    ]
    assert len({layer.op for layer, _ in layers}) > 40

    def work() -> None:
        for layer, values in layers:
            layer.run(values)

    _at_once(work, work)


def test_sessions_share_what_they_read() -> None:
    weights = _core.Pages(BYTES)
    np.frombuffer(weights, np.float32)[:] = np.arange(COUNT)

    def work() -> None:
        for _ in range(20):
            own = _core.Pages(BYTES)
            session = _core.Session([weights, own], [[_copy((0, 0, BYTES), (1, 0, BYTES))]], 1)
            for number in range(5):
                session.run(0, lambda at: None, audit=number == 4, measure=True)
            assert session.times(0).shape == (1,)
            assert np.array_equal(np.frombuffer(own, np.float32), np.arange(COUNT))

    _at_once(work, work)


def test_plans_are_packed() -> None:
    items = np.array([[at, at + 5, 64 * (1 + at % 7), 64] for at in range(60)])
    packer = _core.Packer(items=items, ceiling=0)
    order, hangs = np.arange(60), np.zeros(60, np.int64)

    def improved() -> tuple[np.ndarray, np.ndarray]:
        return packer.improve(order=order, hangs=hangs, first=0, past=60, work=1 << 20)

    want = improved()

    def work() -> None:
        for _ in range(5):
            assert all(map(np.array_equal, improved(), want))

    _at_once(work, work)


def test_a_session_is_asked_while_it_runs() -> None:
    pages = _core.Pages(2 * BYTES)
    steps = [_copy((0, 0, BYTES), (0, BYTES, BYTES))] * 200
    session = _core.Session([pages], [steps], 1)
    codes: set[str | None] = set()
    ended = threading.Event()

    def attempt(what: Callable[[], object]) -> None:
        try:
            what()
        except GraphError as error:
            codes.add(error.code)

    def run() -> None:
        for _ in range(20):
            attempt(lambda: session.run(0, lambda at: None, measure=True))
        ended.set()

    def ask() -> None:
        while not ended.is_set():
            assert -1 <= session.failed < len(steps)
            attempt(lambda: session.times(0))

    _at_once(run, ask)
    assert codes <= {"GC-R003"}


def test_times_are_not_told_during_a_run() -> None:
    session = _core.Session([], [[_host()]], 1)
    with pytest.raises(GraphError, match=r"GC-R003.*session.*running"):
        session.run(0, lambda at: session.times(0))
    session.run(0, lambda at: None, measure=True)
    assert session.times(0).shape == (1,)


def test_one_kernel_runs_once_at_a_time() -> None:
    """With another number of threads it is made anew, which must not happen under a run's feet."""
    big = ("f32", (1 << 20,), None)
    source, target = np.ones(1 << 20, np.float32), np.zeros(1 << 20, np.float32)
    kernel = _core.make_kernel("copy", [big], [big])
    codes: set[str | None] = set()

    def work(threads: int) -> None:
        for _ in range(30):
            try:
                kernel.run([source], [target], threads)
            except GraphError as error:
                codes.add(error.code)

    _at_once(lambda: work(1), lambda: work(1))
    kernel.run([source], [target], 2)
    assert (target == 1).all() and codes <= {"GC-R003"}
