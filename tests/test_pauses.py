"""No search for garbage while much is made that stays."""

from __future__ import annotations

import gc

import pytest

from graphc.pauses import uncollected


@uncollected
def is_searched(fails: bool = False) -> bool:
    if fails:
        raise ValueError
    return gc.isenabled()


def test_nobody_looks_for_garbage_meanwhile() -> None:
    assert gc.isenabled()
    assert not is_searched()
    assert gc.isenabled()
    with pytest.raises(ValueError):
        is_searched(fails=True)
    assert gc.isenabled()


def test_whoever_turned_the_search_off_finds_it_off() -> None:
    gc.disable()
    try:
        assert not is_searched()
        assert not gc.isenabled()
    finally:
        gc.enable()
