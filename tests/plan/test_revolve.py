"""Reversal: the schedules of policy revolve, against the closed form for equal steps."""

from __future__ import annotations

from itertools import pairwise
from math import comb

import numpy as np
import pytest

from graphc.plan.revolve import Reversal


def advances(steps: int, checkpoints: int) -> int:
    """Griewank and Walther 2000, proposition 1: extra steps forward that reversing `steps` takes
    with so many checkpoints, the first of which holds the input."""
    repeats = next(r for r in range(steps + 1) if steps <= comb(checkpoints + r, checkpoints))
    return repeats * steps - comb(checkpoints + repeats, checkpoints + 1)


@pytest.mark.parametrize("slots", range(6))
def test_equal_blocks_take_as_few_steps_as_can_be(slots: int) -> None:
    for length in range(2, 25):
        made = Reversal([1.0] * length)
        for _ in range(slots):
            made.add_slot()
        replays = made.cost[slots][0, length]
        assert replays - length == advances(length, slots + 1)


def test_a_sweep_takes_what_it_costs_and_every_block_finds_its_input() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        us = rng.uniform(0.1, 3.0, int(rng.integers(1, 14)))
        made, before = Reversal(us), np.inf
        for slots in range(made.length):
            if slots:
                made.add_slot()
            order = list(made.sweep(slots))
            assert [block for block, _ in order] == list(range(made.length - 2, -1, -1))
            total = sum(us[replayed].sum() for _, replayed in order)
            assert total <= before + 1e-9
            before = total
            for block, replayed in order:
                assert replayed[-1] == block
                assert all(b == a + 1 or b <= a for a, b in pairwise(replayed))
