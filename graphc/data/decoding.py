"""Pool: a few threads that decode the images of a batch, in order.

Pillow and numpy let go of the interpreter while they work, so that two threads take about 0.6 of
the time of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from graphc.errors import GraphError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")
_FEWEST, _MOST_THREADS = 4, 4  # images that are worth it; threads


class Pool:
    """Threads that are started when they are first needed; at most one per CPU."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def map(self, decode: Callable[[T], R], items: Sequence[T]) -> list[R] | None:
        """`decode` of each item, in order; None if one raises GraphError, or if it is not worth
        it, for the caller to take them one by one."""
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        if len(items) < _FEWEST or threads < 2:
            return None
        if self._pool is None or self._process != os.getpid():  # threads do not survive a fork
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(threads, "graphc-decode")
            self._process = os.getpid()
        try:
            return list(self._pool.map(decode, items))
        except GraphError:
            return None

    def close(self) -> None:
        """End the threads; may be called twice."""
        if self._pool is not None and self._process == os.getpid():
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


__all__ = ["Pool"]
