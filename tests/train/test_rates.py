"""Learning rates: tables of every policy, and what of them a run that goes on must know."""

from __future__ import annotations

import math
from typing import Any

import pytest

from graphc import GraphError
from graphc.train.rates import Policy, Schedule


def rates(count: int, *, losses: list[float] | None = None, **fields: Any) -> list[float]:
    schedule = Schedule(Policy(**{"base_lr": 2.0} | fields))
    given = losses or [1.0] * count
    return [schedule.rate(i, given[i]) for i in range(count)]


TABLES: list[tuple[dict[str, Any], list[float]]] = [
    ({"kind": "fixed"}, [2, 2]),
    ({"kind": "step", "gamma": 0.5, "stepsize": 2}, [2, 2, 1, 1, 0.5]),
    ({"kind": "exp", "gamma": 0.5}, [2, 1, 0.5]),
    ({"kind": "inv", "gamma": 1, "power": 2}, [2, 2 / 4, 2 / 9]),
    ({"kind": "multistep", "gamma": 0.5, "stepvalue": (1, 3)}, [2, 1, 1, 0.5, 0.5]),
    ({"kind": "poly", "power": 2, "max_iter": 4}, [2, 2 * 9 / 16, 0.5, 2 / 16, 0, 0]),
    ({"kind": "poly", "power": 1, "max_iter": 2, "min_lr": 1}, [2, 1.5, 1]),
    ({"kind": "sigmoid", "gamma": -1, "stepsize": 1}, [2 / (1 + math.exp(-1)), 1]),
    ({"kind": "sigmoid", "gamma": 1e9, "stepsize": 1}, [0, 1]),
    ({"kind": "multifixed", "stagelr": (3, 1), "stageiter": (1, 2)}, [3, 3, 1, 1]),
    ({"kind": "cosine", "max_iter": 4, "min_lr": 1}, [2, 1.5 + 0.5**0.5 / 2, 1.5]),
    ({"kind": "cosine", "max_iter": 3, "warmup_iter": 1}, [0, 2, 1]),
    ({"kind": "fixed", "warmup_iter": 4, "warmup_start_lr": 1}, [1, 1.25, 1.5, 1.75, 2, 2]),
    ({"kind": "exp", "gamma": 0.5, "warmup_iter": 2}, [0, 1, 0.5]),
]


@pytest.mark.parametrize(("fields", "expected"), TABLES)
def test_table(fields: dict[str, Any], expected: list[float]) -> None:
    assert rates(len(expected), **fields) == pytest.approx(expected)


def test_steps_of_multistep_are_made_one_by_one() -> None:
    """Caffe counts one step per iteration, even where two are due."""
    fields = {"kind": "multistep", "gamma": 0.5, "stepvalue": (1, 1)}
    assert rates(4, **fields) == [2, 1, 0.5, 0.5]


def test_plateau() -> None:
    losses = [5.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0]
    fields = {"kind": "plateau", "gamma": 0.5, "plateau_winsize": (2, 2)}
    found = rates(8, losses=losses, **fields)
    assert found == [2, 2, 2, 1, 1, 1, 0.5, 0.5]


def test_going_on() -> None:
    fields: dict[str, Any] = {"kind": "plateau", "gamma": 0.5, "plateau_winsize": (2, 3)}
    losses = [5.0, 4.5, 4.25, 4.25, 4.25, 4.0, 4.0, 4.0, 4.0]
    whole = rates(9, losses=losses, **fields)
    schedule = Schedule(Policy(base_lr=2.0, **fields))
    for i in range(4):
        schedule.rate(i, losses[i])
    after = Schedule(schedule.policy)
    after.restore(schedule.state())
    assert [after.rate(i, losses[i]) for i in range(4, 9)] == whole[4:]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": ""}, "no lr_policy"),
        ({"kind": "stepp"}, "'step'"),
        ({"kind": "step", "gamma": 0.5}, "stepsize"),
        ({"kind": "step", "stepsize": -3}, "stepsize"),
        ({"kind": "poly"}, "max_iter"),
        ({"kind": "cosine"}, "max_iter"),
        ({"kind": "plateau"}, "plateau_winsize"),
        ({"kind": "multifixed"}, "stagelr"),
        ({"kind": "multifixed", "stagelr": (1,)}, "1 stagelr, 0 stageiter"),
        ({"kind": "multistep", "stepvalue": (3, 1)}, "ascend"),
    ],
)
def test_wrong_policies(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(GraphError, match="GC-P005") as caught:
        Policy(**fields)
    assert told in str(caught.value)


def test_rates_that_are_no_numbers() -> None:
    with pytest.raises(GraphError, match="GC-P005"):
        rates(3, kind="inv", gamma=-1, power=0.5)
    assert rates(2, kind="inv", gamma=-1, power=2)[1] == math.inf
