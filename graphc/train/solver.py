"""Solver: trains a network as its solver prototxt says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from graphc import driver
from graphc.budget import checked_size
from graphc.errors import GraphError, Loc, fail
from graphc.front.net import net_of
from graphc.front.overrides import Overrides, split_overrides
from graphc.ir.graph import Graph
from graphc.ir.types import Phase
from graphc.ops.update.regularizer import Regularizer
from graphc.plan.wish import Wish
from graphc.runtime.training import TestedNet, TrainingNet
from graphc.train.astray import first_bad_blob
from graphc.train.build import training_net
from graphc.train.checkpoint.load import load_snapshot
from graphc.train.debugging import DebugNet
from graphc.train.events import Listener
from graphc.train.loop import Request, solve
from graphc.train.nets import NetSettings
from graphc.train.rates import Schedule
from graphc.train.resuming import restore, save
from graphc.train.settings import Settings, read_settings
from graphc.train.smoothing import SmoothedLoss
from graphc.train.testing import Means, mean_outputs, tested_net

Feed = Mapping[str, npt.ArrayLike]


class Solver:
    """A training run.

    `graph`: the network as loaded; `net`: as it runs, whose `params` are the weights that are
    learned; `tests`: the networks of phase TEST, on the same memory; `iter`: updates made so far;
    `loss`: that of the last iteration, NaN before the first; `smoothed`: the mean of the last
    `average_loss`; `rate`: that of the last update.
    """

    def __init__(
        self,
        solver: str | Path,
        weights: str | Path | Sequence[str | Path] | None = None,
        *,
        set: Overrides = (),
        regularizers: Sequence[Regularizer] = (),
        target: str = driver.DEFAULT_TARGET,
        batch: int | None = None,
        threads: int | None = None,
        deterministic: bool = False,
        fused_update: bool = True,
        pin_variants: bool = False,
        memory: str | int | None = None,
        host: str | int | None = None,
        policy: str = "ours",
        overrides: Mapping[str, str] | None = None,
        micro_batch: int | None = None,
        mbs: str | int | None = None,
    ) -> None:
        """`solver`: path of a solver prototxt; its nets are looked for from the current folder,
        then beside it. `weights`: a file to start from, or several, as a list or with commas
        between, else the solver's own, else fillers. `set`: path -> value of the solver's fields,
        and with "net." in front of those of its nets, as in `graphc.load`. `target`: "cpu" or
        "reference"; `threads`, `deterministic` as in `graphc.compile`. `batch` replaces that of the
        nets' inputs. `fused_update`: parameters change during the backward, as soon as nobody needs
        the old ones, and gradients need not be kept (the numbers are the same). `regularizers`:
        what else is done to parameters, see `graphc.ops.update.regularizer`. `memory`: bytes, or a
        size as "6GiB", that `memory_bytes` must not exceed. `host`, `policy`, `overrides` and
        `pin_variants`: as in `graphc.compile`. `micro_batch`: layers run on so many samples at a
        time, and gradients add up, see `graphc.micro_batches.micro_batched`. `mbs`: as in
        `graphc.compile`, of the net that is trained.

        Raises GC-P005, GC-U001 for solver fields, GC-N007 for a net without a loss, GC-M001 for a
        budget that the nets exceed, and what `graphc.load` and `graphc.compile` raise.
        """
        own, self._of_nets = split_overrides(set)
        read = read_settings(solver, own)
        self.settings: Settings = replace(read, regularizers=tuple(regularizers))
        self._rule_attrs = self.settings.rule_attrs()
        self.schedule = Schedule(self.settings.policy)
        self.smoothed = SmoothedLoss(self.settings.average_loss)
        self.iter, self.rate = 0, float("nan")
        self.loss = float("nan")
        self._how: dict[str, Any] = {"threads": threads, "deterministic": deterministic}
        self._how["pin_variants"] = pin_variants
        self._wish = driver.checked_wish(target, memory, policy, overrides, host)
        self._batch, self._fused_update = batch, fused_update
        self._slices: dict[str, Any] = {"micro_batch": micro_batch}
        self._slices["mbs"] = None if mbs is None else checked_size(mbs)
        self.graph = self._loaded(self.settings.net, "TRAIN")
        for file in self.settings.weights if weights is None else _files(weights):
            from graphc.front.weights import load_weights

            report = load_weights(self.graph, Path(file), strict=False)
            notes = [n for n in self.graph.notes if not n.startswith(driver.NO_WEIGHTS)]
            self.graph.notes = [*notes, str(report)]
        self.net, self.tests = self._within(target)
        self._of_nets.check()

    @property
    def memory_bytes(self) -> int:
        """Of the arenas of all nets: the plan of the one that is trained, and what networks of
        phase TEST need beside that. They run in its arena, as far as that goes. Raises GC-R003 for
        target reference."""
        return self.net.plan.peak_bytes + sum(test.own_bytes for test in self.tests)

    def _within(self, target: str) -> tuple[TrainingNet, list[TestedNet]]:
        """The nets within the wish's memory: if both together are over it, the one that is trained
        gets less. Raises GC-M001."""
        self.net, self.tests = self._nets(target, self._wish)
        memory = self._wish.memory
        if memory is None or self.memory_bytes <= memory:
            return self.net, self.tests
        peak, beside = self.net.plan.peak_bytes, self.memory_bytes - self.net.plan.peak_bytes
        del self.net, self.tests
        least = replace(self._wish, memory=max(1, memory - beside))
        try:
            self.net, self.tests = self._nets(target, least)
            if self.memory_bytes <= memory:
                return self.net, self.tests
        except GraphError as error:
            if error.code != "GC-M001":
                raise
        told = f"training takes {peak:,} B, and testing {beside:,} B beside, which is over the"
        hint = "test on smaller batches, or leave test_iter out and run `graphc test` later"
        fail("GC-M001", f"{told} budget of {memory:,} B, and with less for training, too", hint)

    def _nets(self, target: str, wish: Wish) -> tuple[TrainingNet, list[TestedNet]]:
        net = training_net(
            self.graph,
            self.settings,
            target=target,
            seed=self.seed,
            fused_update=self._fused_update,
            kind=DebugNet if self.settings.debug_info else TrainingNet,
            wish=wish,
            **self._slices,
            **self._how,
        )
        own = replace(self._wish, policy="ours", keep=(), replay=(), host=0)
        tests = [
            tested_net(self._loaded(test.net, "TEST"), net, seed=self.seed, wish=own, **self._how)
            for test in self.settings.tests
        ]
        return net, tests

    @property
    def seed(self) -> int:
        """Of dropout, shuffles and crops."""
        return self.settings.random_seed or 0

    def _loaded(self, net: NetSettings, phase: Phase) -> Graph:
        given = self.settings.random_seed
        seed = driver.SEED if given is None else given
        state: dict[str, Any] = {"phase": phase, "level": net.level, "stages": net.stages}
        state["set"] = self._of_nets
        if net.inline is None:
            graph = driver.load(net.net, batch=self._batch, seed=seed, **state)
        else:
            graph = net_of(net.inline, file=str(net.net), **state)
            driver.prepare(graph, None, self._batch, seed)
            graph.notes.append(
                f"{driver.NO_WEIGHTS}: parameters come from the fillers, seed {seed}"
            )
        return driver.shape(graph)

    def step(self, n: int = 1, feed: Feed | None = None) -> float:
        """Make `n` iterations, each on `feed` (input name -> array) or on what data layers give.

        No tests, no snapshots: see `solve`. Returns the loss of the last one, before its update.
        Raises GC-R004 for a negative `n`, GC-R001 for a wrong feed, GC-R005 for a loss that is no
        number; parameters are then those of before.
        """
        if type(n) is not int or n < 0:
            fail("GC-R004", f"{n!r} iterations; a whole number from 0 on is possible")
        for _ in range(n):
            self.iterate(feed)
        return self.loss

    def iterate(self, feed: Feed | None = None, tell: bool = False) -> None:
        """One iteration; `tell`: `net.told` then has its outputs, and `smoothed` its loss."""
        settings, net = self.settings, self.net
        passed, positions = net.passed, net.positions()
        try:
            net.step(feed, self._tune, settings.iter_size, tell)
        except GraphError as error:
            if error.code == "GC-R005":
                error = self._astray(error, feed, net.passed - 1, positions, passed)
            raise error.at(loc=Loc(str(settings.net.net))) from None
        self.iter += 1

    def _tune(self, loss: float) -> Mapping[str, float]:
        """What the updates of this iteration are told, once its loss is known."""
        self.loss = loss
        self.rate = self.schedule.rate(self.iter, self.smoothed.add(self.iter, loss))
        return self.settings.rule.step(self._rule_attrs, self.rate, self.iter)

    def test(self, which: int = 0, feed: Feed | None = None) -> tuple[Means, float]:
        """Run a network of phase TEST on its test_iter batches: means of its outputs, element by
        element, and of its loss. Raises GC-R004 for one that there is not, GC-R001 for a feed."""
        if which not in range(len(self.tests)):
            fail("GC-R004", f"no test network {which}", f"the solver has {len(self.tests)}")
        return mean_outputs(self.tests[which], self.settings.tests[which].batches, feed)

    def solve(
        self,
        listen: Listener = lambda event: None,
        request: Request = lambda: "",
        feed: Feed | None = None,
    ) -> bool:
        """Train until max_iter, with tests, display and snapshots, see `graphc.train.loop.solve`.

        `listen` is told of events; `request` is asked after every iteration whether to "stop" or
        to "snapshot". False if it stopped.
        """
        return solve(self, listen, request, feed)

    def snapshot(self, prefix: str | Path | None = None) -> str:
        """Write `<prefix>_iter_<N>.caffemodel`, `.solverstate` and `.gck`; returns the first.

        `prefix` None: the solver's snapshot_prefix. All are written, or none, and those of before
        are intact. Raises GC-F002, GC-U001 for what the format cannot hold, GC-U002.
        """
        return save(self, self.settings.snapshot_prefix if prefix is None else prefix)

    @classmethod
    def resume(cls, checkpoint: str | Path, solver: str | Path, **how: Any) -> Solver:
        """Go on where a snapshot was written: `checkpoint` is its `.solverstate`.

        Its weights are looked for from the current folder, then beside it; with its `.gck` beside
        it the run goes on to the bit, without, as Caffe does, with data from the start. `how`: as
        in `Solver`, but weights. Raises GC-K001 for files that do not belong to each other, or not
        to the solver.
        """
        loaded = load_snapshot(checkpoint)
        found = cls(solver, [loaded.weights], **how)
        restore(found, loaded)
        return found

    def close(self) -> None:
        """Close data sources."""
        for net in (self.net, *self.tests):
            net.close()

    def _astray(
        self, error: GraphError, feed: Feed | None, at: int, positions: Any, passed: int
    ) -> GraphError:
        """The error with what is known of where it began."""
        where = ""
        if at == passed:  # later passes would need the data of those before them
            where = first_bad_blob(self.net, feed, at, positions)
        told = f"iteration {self.iter}: {error.message}" + (f"; {where}" if where else "")
        return GraphError(error.code, told, "lower base_lr, or clip gradients")


def _files(weights: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    if isinstance(weights, str) and not Path(weights).exists():
        return [file for file in weights.split(",") if file]
    return [weights] if isinstance(weights, (str, Path)) else weights


__all__ = ["Feed", "Solver"]
