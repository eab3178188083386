"""Prefetcher: a Source that reads another one ahead, in a thread of its own.

What is handed out does not depend on it: the same batches in the same order, errors where their
batch would have been, and as `state` that of the batch handed out last.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from graphc.data.source import Batch, Source, State
from graphc.records import record

_PAUSE = 0.001  # seconds


@record(frozen=True, slots=True)
class _Item:
    """A batch, or why there is none, and the source's state after it."""

    batch: Batch | None
    error: BaseException | None
    after: State


class _Desk:
    """What the reading thread and the Prefetcher share; the thread knows nothing else, so that a
    Prefetcher nobody has any more can go.

    `using` is held by whoever calls the source, `turn` for what lies here; never `using` within
    `turn`.
    """

    def __init__(self, source: Source, depth: int) -> None:
        self.source, self.depth = source, depth
        self.using = threading.RLock()
        self.turn = threading.Condition(threading.RLock())
        self.ready: deque[_Item] = deque()
        self.stopped = False
        self.thread: threading.Thread | None = None

    def has_room(self) -> bool:
        """May the thread read on? Not beyond an error, which the reader has to meet first."""
        failed = bool(self.ready) and self.ready[-1].error is not None
        return len(self.ready) < self.depth and not failed

    def is_low(self) -> bool:
        """Is a resting thread to read on? It is woken for several batches, not for each."""
        return self.has_room() and len(self.ready) <= self.depth // 2

    def start(self) -> None:
        """Let a thread read, if none does."""
        if self.thread is None or not self.thread.is_alive():
            self.stopped = False
            self.thread = threading.Thread(
                target=_read_ahead, args=(self,), name="graphc-prefetch", daemon=True
            )
            self.thread.start()

    def stop(self) -> None:
        """End the thread, after the batch it is at; waits for it."""
        with self.turn:
            self.stopped = True
            self.turn.notify_all()
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self.thread = None


def _read_ahead(desk: _Desk) -> None:
    """The thread: read while there is room.

    Who has just taken a batch is about to copy it, during which numpy lets other threads have the
    interpreter, and then to compute without it. So a thread that is not in a hurry waits a little:
    else the other one would wait for it with its copy in its hands.
    """
    while True:
        with desk.turn:
            if not desk.has_room():
                desk.turn.wait_for(lambda: desk.stopped or desk.is_low())
                desk.turn.wait_for(lambda: desk.stopped or not desk.ready, _PAUSE)
        with desk.using:
            if desk.stopped:
                return
            if not desk.has_room():  # somebody has set the source back and begun anew
                continue
            item = _read(desk.source)
            with desk.turn:
                desk.ready.append(item)
                desk.turn.notify_all()
        del item


def _read(source: Source) -> _Item:
    try:
        batch = source.next()
    except BaseException as error:  # whatever it is, it belongs to this batch
        return _Item(None, error, source.state())
    return _Item(batch, None, source.state())


class Prefetcher:
    """A Source that keeps up to `depth` batches of `source` ready; see above."""

    ahead = 0

    def __init__(self, source: Source, depth: int) -> None:
        self._desk = _Desk(source, depth)
        self._state = source.state()
        weakref.finalize(self, self._desk.stop)  # at exit, too
        _living.add(self._desk)

    def next(self) -> Batch:
        desk = self._desk
        with desk.turn:
            desk.start()
            while not desk.ready:
                desk.turn.wait()
            item = desk.ready.popleft()
            if desk.is_low():
                desk.turn.notify_all()
        self._state = item.after
        if item.error is not None:
            raise item.error
        assert item.batch is not None
        return item.batch

    def reset(self) -> None:
        self._go(lambda source: source.reset())

    def state(self) -> State:
        return dict(self._state)

    def restore(self, state: Mapping[str, int]) -> None:
        self._go(lambda source: source.restore(state))

    def origin(self, state: Mapping[str, int], row: int) -> str:
        with self._desk.using:
            return self._desk.source.origin(state, row)

    def close(self) -> None:
        """End the thread and close the source; may be called twice."""
        self._desk.stop()
        self._desk.ready.clear()
        self._desk.source.close()

    def _go(self, move: Callable[[Source], None]) -> None:
        """Move the source elsewhere, and forget what was read ahead."""
        desk = self._desk
        with desk.using:
            move(desk.source)
            self._state = desk.source.state()
            with desk.turn:
                desk.ready.clear()
                desk.turn.notify_all()


def prefetched(source: Any) -> Any:
    """`source`, read ahead if that is worth it; sinks and sources in memory as they are."""
    depth = getattr(source, "ahead", 0)
    return Prefetcher(source, depth) if depth > 0 else source


_living: weakref.WeakSet[_Desk] = weakref.WeakSet()
_forking = threading.RLock()
_held: list[_Desk] = []


def _before_fork() -> None:
    """Let no thread be within a source, which the child would find in the middle of a batch."""
    _forking.acquire()
    _held[:] = _living
    for desk in _held:
        desk.using.acquire()
        desk.turn.acquire()


def _after_fork() -> None:
    for desk in _held:
        desk.turn.release()
        desk.using.release()
    _held.clear()
    _forking.release()


def _in_child() -> None:
    """The threads are gone; what they had read is still there, and `next` starts new ones."""
    for desk in _held:
        desk.thread = None
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)

__all__ = ["Prefetcher", "prefetched"]
