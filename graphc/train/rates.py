"""Policy, Schedule: the learning rate of every iteration, as `lr_policy` says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from graphc.errors import fail, near
from graphc.records import record

Numbers = tuple[int, ...]


@record(frozen=True)
class Policy:
    """What a solver prototxt says of the rate; fields are called as there.

    `kind` is lr_policy. `warmup_iter` iterations come first, in which the rate grows linearly from
    `warmup_start_lr` to base_lr; policies of Caffe count iterations from 0 all the same, "cosine"
    counts from the warm-up's end.
    """

    kind: str = "fixed"
    base_lr: float = 0.01
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    stepvalue: Numbers = ()
    max_iter: int = 0
    min_lr: float = 0.0
    plateau_winsize: Numbers = ()
    stagelr: tuple[float, ...] = ()
    stageiter: Numbers = ()
    warmup_iter: int = 0
    warmup_start_lr: float = 0.0

    def __post_init__(self) -> None:
        """Raises GC-P005 for a policy that there is not, or that lacks what it goes by."""
        if not self.kind:
            fail("GC-P005", "the solver has no lr_policy", "add lr_policy: 'fixed'")
        if self.kind not in RATES:
            hint = near(self.kind, RATES) or f"there are {', '.join(RATES)}"
            fail("GC-P005", f"no lr_policy {self.kind!r}", hint)
        for name in NEEDS.get(self.kind, ()):
            value = getattr(self, name)
            if not value or (isinstance(value, int) and value < 0):
                fail("GC-P005", f"lr_policy {self.kind!r} needs {name}, which is {value or 'none'}")
        for name in ("stepvalue", "stageiter"):
            steps = getattr(self, name)
            if list(steps) != sorted(steps):
                fail("GC-P005", f"{name} does not ascend: {', '.join(map(str, steps))}")
        if len(self.stagelr) != len(self.stageiter):
            counts = f"{len(self.stagelr)} stagelr, {len(self.stageiter)} stageiter"
            fail("GC-P005", f"lr_policy 'multifixed' takes one of each per stage, but has {counts}")


class Schedule:
    """The rates of one run, and what of them depends on the past.

    `current_step`: how many steps a policy of steps has made, as a .solverstate holds it.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.current_step = 0
        self.least_loss = math.inf
        self.last_event = 0

    def rate(self, iteration: int, loss: float = math.inf) -> float:
        """The rate of an iteration; to be asked once for each, in order. `loss`: smoothed."""
        policy = self.policy
        found = RATES[policy.kind](self, policy, iteration, loss)
        if iteration < policy.warmup_iter:
            done = iteration / policy.warmup_iter
            return policy.warmup_start_lr + done * (policy.base_lr - policy.warmup_start_lr)
        return found

    def state(self) -> dict[str, Any]:
        """What `restore` takes, as numbers."""
        return {
            "current_step": self.current_step,
            "least_loss": self.least_loss.hex(),
            "last_event": self.last_event,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.current_step = int(state["current_step"])
        self.least_loss = float.fromhex(state["least_loss"])
        self.last_event = int(state["last_event"])


def _fixed(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    return p.base_lr


def _step(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    schedule.current_step = iteration // p.stepsize
    return p.base_lr * _power(p.gamma, schedule.current_step)


def _exp(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    return p.base_lr * _power(p.gamma, iteration)


def _inv(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    return p.base_lr * _power(1 + p.gamma * iteration, -p.power)


def _multistep(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    """One step at most per iteration, as Caffe counts them."""
    done = schedule.current_step
    if done < len(p.stepvalue) and iteration >= p.stepvalue[done]:
        schedule.current_step += 1
    return p.base_lr * _power(p.gamma, schedule.current_step)


def _poly(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    left = max(0.0, 1 - iteration / p.max_iter)
    return p.min_lr + (p.base_lr - p.min_lr) * _power(left, p.power)


def _sigmoid(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    exponent = -p.gamma * (iteration - p.stepsize)
    return p.base_lr / (1 + math.exp(exponent)) if exponent < 700 else 0.0


def _plateau(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    """The k-th step once the smoothed loss has had no new minimum for plateau_winsize[k] iterations
    (SSD's fork of Caffe)."""
    if loss < schedule.least_loss:
        schedule.least_loss, schedule.last_event = loss, iteration
    done = schedule.current_step
    left = p.plateau_winsize[done:]
    if left and iteration >= schedule.last_event + left[0]:
        schedule.current_step, schedule.last_event = done + 1, iteration
    return p.base_lr * _power(p.gamma, schedule.current_step)


def _multifixed(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    """stagelr[k] up to and with iteration stageiter[k], then the last one (Intel's fork)."""
    stage = next((k for k, end in enumerate(p.stageiter) if iteration <= end), -1)
    return p.stagelr[stage]


def _cosine(schedule: Schedule, p: Policy, iteration: int, loss: float) -> float:
    """Half a cosine from base_lr down to min_lr (Loshchilov, Hutter 2017, without restarts)."""
    length = max(1, p.max_iter - p.warmup_iter)
    done = min(1.0, max(0, iteration - p.warmup_iter) / length)
    return p.min_lr + (p.base_lr - p.min_lr) / 2 * (1 + math.cos(math.pi * done))


def _power(base: float, exponent: float) -> float:
    """As C's pow: no exceptions. GC-P005 for a power that is no real number."""
    try:
        found = base**exponent
    except (OverflowError, ZeroDivisionError):
        return math.inf
    if isinstance(found, complex):
        fail("GC-P005", f"the rate would be a multiple of {base} to the power of {exponent}")
    return float(found)


RATES: dict[str, Callable[[Schedule, Policy, int, float], float]] = {
    "fixed": _fixed,
    "step": _step,
    "exp": _exp,
    "inv": _inv,
    "multistep": _multistep,
    "poly": _poly,
    "sigmoid": _sigmoid,
    "plateau": _plateau,
    "multifixed": _multifixed,
    "cosine": _cosine,
}
NEEDS = {
    "step": ("stepsize",),
    "poly": ("max_iter",),
    "cosine": ("max_iter",),
    "plateau": ("plateau_winsize",),
    "multifixed": ("stagelr",),
}

__all__ = ["RATES", "Policy", "Schedule"]
