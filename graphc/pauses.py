"""uncollected: a function that makes much which stays, so that there is no garbage to look for."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def uncollected(function: Callable[P, T]) -> Callable[P, T]:
    """The function, run without Python's search for cyclic garbage.

    That looks at all that there is whenever there is a quarter more: a fifth of the time in which
    the plan of a deep network, hundreds of thousands of records without cycles, is made.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return run


__all__ = ["uncollected"]
