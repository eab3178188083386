"""Sessions: steps on memory between guard pages, host steps, poison, audit, refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from graphc import _core
from graphc.errors import GraphError

ROW = ("f32", (16,), None)
BYTES = 64


def _step(
    kernel: str, sources: list[int], targets: list[int], specs: tuple = (ROW, ROW), **words: object
) -> _core.Step:
    """Operands are offsets in region 0."""
    told: dict = {
        "name": kernel or "host",
        "symbol": kernel,
        "reads": [specs[0]] * len(sources),
        "writes": [specs[1]] * len(targets),
        "attrs": {},
        "read_places": [(0, at, BYTES) for at in sources],
        "write_places": [(0, at, BYTES) for at in targets],
        "workspace": (0, 0, 0),
        "poison_before": [],
        "poison_after": [],
    }
    return _core.Step(**(told | words))


def _copy(source: int, target: int, **words: object) -> _core.Step:
    return _step("copy", [source], [target], **words)


def _host() -> _core.Step:
    return _step("", [], [])


def _never(at: int) -> None:
    raise AssertionError(f"step {at} called back")


def _floats(pages: _core.Pages) -> np.ndarray:
    return np.frombuffer(pages, np.float32)


def test_steps_run_in_order_and_call_back() -> None:
    pages, seen = _core.Pages(4 * BYTES), []
    values = _floats(pages)
    values[:16] = np.arange(16)
    steps = [_copy(0, BYTES), _host(), _copy(BYTES, 2 * BYTES), _host()]
    session = _core.Session([pages], [steps], 1)

    def host(at: int) -> None:
        seen.append((at, values[16:48].reshape(2, 16)[:, 3].tolist()))
        values[16:32] += 1

    session.run(0, host, measure=True)
    assert seen == [(1, [3.0, 0.0]), (3, [4.0, 4.0])]
    assert session.failed == -1
    assert (session.times(0) > 0).all() and session.times(0).shape == (4,)


def test_memory_outlives_its_owner() -> None:
    pages = _core.Pages(BYTES)
    values = _floats(pages)
    del pages
    values[:] = 1
    assert values.sum() == 16


@pytest.mark.parametrize("nbytes", [0, 1, 64, 100, 4096, 5000])
def test_pages_have_their_size_and_start_as_zeros(nbytes: int) -> None:
    pages = _core.Pages(nbytes)
    assert pages.nbytes == nbytes and len(memoryview(pages)) == max(nbytes, 0)
    assert not bytes(memoryview(pages)).strip(b"\0")


def test_pages_that_nobody_has() -> None:
    for nbytes in (1 << 60, (1 << 64) - 1):
        with pytest.raises(GraphError, match="GC-M002"):
            _core.Pages(nbytes)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("at", [-1, 8192])
def test_guard_pages_stop_a_stray_write(at: int) -> None:
    code = (
        "import ctypes, numpy as np\n"
        "from graphc import _core\n"
        "pages = _core.Pages(8192)\n"
        "start = np.frombuffer(pages, np.uint8).ctypes.data\n"
        "ctypes.memset(start, 7, 8192)\n"
        f"ctypes.memset(start + {at}, 7, 1)\n"
    )
    # a sanitizer would report what this is meant to do
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0:handle_segv=0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert -done.returncode in (signal.SIGSEGV, signal.SIGBUS), done.stderr


def test_the_end_touches_the_guard() -> None:
    """However many bytes: the first multiple of 64 past the end is a page's start."""
    for nbytes in (64, 192, 4096, 8256):
        start = np.frombuffer(_core.Pages(nbytes), np.uint8).ctypes.data
        assert start % 64 == 0 and (start + nbytes) % 4096 == 0


def test_poison_shows_a_read_of_nothing() -> None:
    pages = _core.Pages(3 * BYTES)
    values = _floats(pages)
    steps = [
        _copy(0, BYTES, poison_before=[(0, BYTES, BYTES)], poison_after=[(0, 0, BYTES)]),
        _copy(BYTES, 2 * BYTES),
    ]
    session = _core.Session([pages], [steps], 1)
    values[:16] = 5
    session.run(0, _never)
    assert (values == 5).all()
    session.run(0, _never, poison=True)
    assert np.isnan(values[:16]).all() and (values[16:] == 5).all()
    session.run(0, _never, poison=True)
    assert np.isnan(values).all()


def test_audit_finds_a_write_beside_the_operands() -> None:
    pages = _core.Pages(2 * BYTES)
    values = _floats(pages)
    session = _core.Session([pages], [[_host()]], 1)
    session.run(0, lambda at: None, audit=True)

    def stray(at: int) -> None:
        values[20] = 1

    session.run(0, stray)
    values[20] = 0
    with pytest.raises(GraphError, match=r"GC-C002.*beside"):
        session.run(0, stray, audit=True)


def test_audit_accepts_strided_writes() -> None:
    pages = _core.Pages(4 * BYTES)
    strided = ("f32", (4, 3), (16, 1))
    specs = (("f32", (4, 3), None), strided)
    places = {"read_places": [(1, 0, 48)], "write_places": [(0, 0, 204)]}
    step = _step("copy", [0], [0], specs, **places)
    other = _core.Pages(BYTES)
    _floats(other)[:12] = np.arange(12)
    _core.Session([pages, other], [[step]], 1).run(0, _never, audit=True)
    assert np.array_equal(_floats(pages).reshape(4, 16)[:, :3], np.arange(12.0).reshape(4, 3))


def test_what_a_host_step_raises_comes_out_and_the_session_lives() -> None:
    pages = _core.Pages(2 * BYTES)
    session = _core.Session([pages], [[_copy(0, BYTES), _host()]], 1)

    def bad(at: int) -> None:
        raise LookupError("no")

    for _ in range(3):
        with pytest.raises(LookupError, match="no"):
            session.run(0, bad)
        assert session.failed == 1
    session.run(0, lambda at: None)
    assert session.failed == -1


def test_a_session_runs_once_at_a_time() -> None:
    session = _core.Session([_core.Pages(BYTES)], [[_host()]], 1)
    with pytest.raises(GraphError, match=r"GC-R003.*running"):
        session.run(0, lambda at: session.run(0, lambda at: None))
    session.run(0, lambda at: None)


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"read_places": [(0, 128, 64)]}, "outside"),
        ({"read_places": [(0, 96, 64)]}, "outside"),
        ({"read_places": [(0, 1 << 62, 64)]}, "outside"),
        ({"read_places": [(1, 0, 64)]}, "outside"),
        ({"read_places": [(-1, 0, 64)]}, "outside"),
        ({"read_places": [(0, 0, 60)]}, "fit"),
        ({"read_places": [(0, 2, 64)]}, "aligned"),
        ({"reads": [("f32", (16,), (2,))]}, "fit"),
        ({"reads": [("f32", (16,), (1 << 40,))]}, "fit"),
        ({"read_places": []}, "number of places"),
        ({"poison_after": [(0, 0, 129)]}, "outside"),
        ({"workspace": (0, 0, 1000)}, "outside"),
        ({"workspace": (0, 4, 8)}, "workspace"),
        ({"symbol": "nothing"}, "nothing"),
    ],
)
def test_steps_that_do_not_fit_are_refused(step: dict, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.Session([_core.Pages(2 * BYTES)], [[_copy(0, BYTES, **step)]], 1)
    assert caught.value.code == "GC-A001"


def test_unknown_entries_and_thread_counts() -> None:
    session = _core.Session([], [[]], 1)
    session.run(0, _never)
    for entry in (-1, 1):
        with pytest.raises(GraphError, match="GC-A001"):
            session.run(entry, _never)
    for threads in (0, 1025):
        with pytest.raises(GraphError, match="GC-R004"):
            _core.Session([], [[]], threads)


def test_two_sessions_in_two_threads() -> None:
    """Each waits in a host step for the other, which only works without the interpreter's lock."""
    meet, failures = threading.Barrier(2, timeout=20), []

    def work(number: int) -> None:
        try:
            pages = _core.Pages(2 * BYTES)
            _floats(pages)[:16] = number
            session = _core.Session([pages], [[_copy(0, BYTES), _host(), _copy(BYTES, 0)]], 1)
            for _ in range(50):
                session.run(0, lambda at: meet.wait())
            assert (_floats(pages) == number).all()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_lock_is_free_while_kernels_run() -> None:
    """A thread that needs the lock makes progress during one long run."""
    big = ("f32", (1 << 20,), None)
    size = 4 << 20
    pages = _core.Pages(2 * size)
    places = {"read_places": [(0, 0, size)], "write_places": [(0, size, size)]}
    steps = [_step("copy", [0], [0], (big, big), **places) for _ in range(200)]
    session = _core.Session([pages], [steps], 1)
    done, counted = threading.Event(), 0
    worker = threading.Thread(target=lambda: (session.run(0, _never), done.set()))
    worker.start()
    while not done.is_set():
        counted += 1
    worker.join()
    assert counted > 100


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="it keeps freed memory")
def test_a_thousand_sessions_leave_nothing_behind() -> None:
    resource = pytest.importorskip("resource")

    def cycle() -> None:
        pages = _core.Pages(1 << 16)
        session = _core.Session([pages], [[_copy(0, BYTES), _host()]] * 3, 1)
        session.run(1, lambda at: None)

    for _ in range(100):
        cycle()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        cycle()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 << 10  # KiB
