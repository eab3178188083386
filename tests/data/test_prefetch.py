"""Prefetcher: the same batches, states and errors as without; threads that end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.makers import datum, pictures, sig, write_lmdb

from graphc.data.prefetch import Prefetcher, prefetched
from graphc.data.record_source import RecordSource
from graphc.data.transform import TransformParam
from graphc.errors import GraphError
from graphc.ops.data import Data, DataAttrs


class Counting:
    """Batch i holds i; some fail, and reading may take a while."""

    ahead = 3

    def __init__(self, bad: tuple[int, ...] = (), pause: float = 0.0) -> None:
        self.at = self.calls = 0
        self.bad, self.pause = bad, pause
        self.closed = 0
        self.inside = threading.Lock()

    def next(self) -> dict[str, Any]:
        assert self.inside.acquire(blocking=False), "two threads at once"
        try:
            self.calls += 1
            time.sleep(self.pause)
            if self.at in self.bad:
                raise GraphError("GC-D001", f"batch {self.at}")
            self.at += 1
            return {"data": np.full(2, self.at - 1, np.float32)}
        finally:
            self.inside.release()

    def reset(self) -> None:
        assert not self.inside.locked()
        self.at = 0

    def state(self) -> dict[str, int]:
        return {"at": self.at}

    def restore(self, state: Mapping[str, int]) -> None:
        assert not self.inside.locked()
        if state["at"] < 0:
            raise GraphError("GC-D002", "no such place")
        self.at = state["at"]

    def origin(self, state: Mapping[str, int], row: int) -> str:
        return f"batch {state['at']}, row {row}"

    def close(self) -> None:
        self.closed += 1


def number(source: Any) -> int:
    return int(source.next()["data"][0])


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "graphc-prefetch"]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def no_thread_survives() -> Any:
    gc.collect()
    yield
    gc.collect()
    assert not threads()


def test_reads_ahead_and_no_further() -> None:
    source = Counting()
    ahead = Prefetcher(source, 3)
    assert not threads()  # nobody has asked yet
    assert number(ahead) == 0
    until(lambda: source.at >= 3)
    time.sleep(0.02)
    assert source.at <= 4 and ahead.state() == {"at": 1}
    assert [number(ahead) for _ in range(50)] == list(range(1, 51))
    ahead.close()
    ahead.close()
    assert not threads() and source.closed == 2


def test_error_where_its_batch_is() -> None:
    source = Counting(bad=(2,))
    ahead = Prefetcher(source, 4)
    assert [number(ahead), number(ahead)] == [0, 1]
    for _ in range(3):
        with pytest.raises(GraphError, match="batch 2"):
            ahead.next()
        assert ahead.state() == {"at": 2}
    source.bad = ()  # what was wrong has been mended; one failure may have been met already
    found = []
    while not found:
        try:
            found.append(number(ahead))
        except GraphError:
            assert ahead.state() == {"at": 2}
    assert found == [2] and number(ahead) == 3
    ahead.close()


@pytest.mark.parametrize("pause", [0.0, 0.003])
def test_moving_while_the_thread_reads(pause: float) -> None:
    source = Counting(pause=pause)
    ahead = Prefetcher(source, 4)
    rng = np.random.default_rng(0)
    expected = 0
    for _ in range(60):
        choice = rng.integers(4)
        if choice == 0:
            ahead.reset()
            expected = 0
        elif choice == 1:
            expected = int(rng.integers(1000))
            ahead.restore({"at": expected})
        elif choice == 2:
            with pytest.raises(GraphError, match="GC-D002"):
                ahead.restore({"at": -1})
        else:
            assert number(ahead) == expected
            expected += 1
        assert ahead.state() == {"at": expected}
    ahead.close()


def test_a_forgotten_one_ends() -> None:
    ahead = Prefetcher(Counting(), 4)
    number(ahead)
    assert len(threads()) == 1
    del ahead
    gc.collect()
    assert not threads()


def test_only_what_is_worth_it() -> None:
    source = Counting()
    found = prefetched(source)
    assert isinstance(found, Prefetcher)
    source.ahead = 0
    assert prefetched(source) is source
    sink = object()
    assert prefetched(sink) is sink


@pytest.fixture
def attrs(tmp_path: Path) -> DataAttrs:
    """An LMDB of 7 records, cropped and mirrored at random."""
    write_lmdb(tmp_path / "db", [datum(p, i) for i, p in enumerate(pictures(7, 3, 6, 6))])
    param = TransformParam(crop_size=4, mirror=True, scale=0.5)
    return DataAttrs("db", 3, backend="LMDB", prefetch=2, transform_param=param)


def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(np.array_equal(a[k], b[k]) for k in a)


def test_an_lmdb_gives_the_same(tmp_path: Path, attrs: DataAttrs) -> None:
    plain: RecordSource = Data.open(attrs, sig(tmp_path, phase="TRAIN"), 5)
    ahead = prefetched(Data.open(attrs, sig(tmp_path, phase="TRAIN"), 5))
    for step in range(20):
        assert ahead.state() == plain.state()
        before = plain.state()
        assert same(plain.next(), ahead.next())
        assert ahead.origin(before, 2) == plain.origin(before, 2)
        if step == 11:
            plain.reset()
            ahead.reset()
    state = ahead.state()
    batch = ahead.next()
    ahead.restore(state)
    assert same(ahead.next(), batch)
    ahead.close()
    plain.close()


FORK = """
import os, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
from data.test_prefetch import Counting, Prefetcher, number
ahead = Prefetcher(Counting(pause=0.002), 4)
assert number(ahead) == 0
child = os.fork()
signal.alarm(60)
assert [number(ahead) for _ in range(20)] == list(range(1, 21))
ahead.reset()
assert number(ahead) == 0
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    print("both")
if len(sys.argv) > 1:
    ahead.close()
"""


def run(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    tests = str(Path(__file__).parent.parent)
    command = [sys.executable, "-W", "ignore", "-c", code.format(tests=tests), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("args", [(), ("close",)])
def test_a_forked_process_goes_on(args: tuple[str, ...]) -> None:
    done = run(FORK, *args)
    assert (done.returncode, done.stdout, done.stderr) == (0, "both\n", "")


def test_exit_does_not_hang() -> None:
    code = """
import sys
sys.path.insert(0, {tests!r})
from data.test_prefetch import Counting, Prefetcher, number
kept = [Prefetcher(Counting(pause=p), 2) for p in (0, 0.05)]
for ahead in kept:
    number(ahead)
print("end")
"""
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
