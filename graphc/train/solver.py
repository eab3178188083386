"""Solver: trains a network as its solver prototxt says; the minimal one, a fixed rate and SGD."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy.typing as npt

from graphc import driver
from graphc.errors import GraphError, Loc, fail
from graphc.ops.update.rule import RATE
from graphc.runtime.training import TrainingNet
from graphc.train.build import training_net
from graphc.train.settings import Settings, read_settings


class Solver:
    """A training run.

    `net`: the network, whose `params` are the weights that are learned; `iter`: updates made so
    far; `loss`: that of the last iteration, NaN before the first.
    """

    def __init__(
        self,
        solver: str | Path,
        weights: str | Path | None = None,
        *,
        target: str = driver.DEFAULT_TARGET,
        batch: int | None = None,
        threads: int | None = None,
        deterministic: bool = False,
        fused_update: bool = True,
    ) -> None:
        """`solver`: path of a solver prototxt; its net is looked for from the current folder, then
        beside it. `weights`: a file to start from, else the solver's own, else fillers. `target`:
        "cpu" or "reference"; `threads`, `deterministic` as in `graphc.compile`. `batch` replaces
        that of the net's inputs. `fused_update`: parameters change during the backward, as soon as
        nobody needs the old ones, and gradients need not be kept (the numbers are the same).
        Raises GC-P005, GC-U001 for solver fields, GC-N007 for a net without a loss, and what
        `graphc.load` and `graphc.compile` raise.
        """
        self.settings: Settings = read_settings(solver)
        self.iter = 0
        self.loss = float("nan")
        seed = self.settings.seed
        graph = driver.load(
            self.settings.net,
            phase="TRAIN",
            level=self.settings.level,
            stages=self.settings.stages,
            batch=batch,
            seed=driver.SEED if seed is None else seed,
        )
        driver.shape(graph)
        files = self.settings.weights if weights is None else (weights,)
        for file in files:
            from graphc.front.weights import load_weights

            load_weights(graph, Path(file), strict=False)
        self.net: TrainingNet = training_net(
            graph,
            self.settings,
            target=target,
            seed=seed or 0,
            threads=threads,
            deterministic=deterministic,
            fused_update=fused_update,
        )

    def step(self, n: int = 1, feed: Mapping[str, npt.ArrayLike] | None = None) -> float:
        """Make `n` iterations, each on `feed` (input name -> array) or on what data layers give.

        Returns the loss of the last one, before its update. Raises GC-R004 for a negative `n`,
        GC-R001 for a wrong feed.
        """
        if type(n) is not int or n < 0:
            fail("GC-R004", f"{n!r} iterations; a whole number from 0 on is possible")
        for _ in range(n):
            try:
                self.loss = self.net.step(feed, {RATE: self.settings.rate})
            except GraphError as error:
                raise error.at(loc=Loc(str(self.settings.net))) from None
            self.iter += 1
        return self.loss

    def close(self) -> None:
        """Close data sources."""
        self.net.close()


__all__ = ["Solver"]
