"""Regularizers of one's own, at the three stages of an update, in the order they promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import GraphError, Solver
from graphc.ir.graph import Value
from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var, absolute, where
from graphc.ops.update.base import total
from graphc.ops.update.regularizer import ElementwiseRegularizer, Regularizer, Stage

NET = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 bias_term: false
                              weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.5 weight_decay: 0.2
            random_seed: 3 """


@dataclass(frozen=True)
class Strength:
    by: float


class Doubled(ElementwiseRegularizer):
    """slope = by * the gradient."""

    type, stage = "Doubled", Stage.BEFORE_CLIP

    @classmethod
    def outputs(cls, a: Strength, s: Sig) -> dict[str, Expr]:
        return {"slope": a.by * total(s)}


class Cubed(ElementwiseRegularizer):
    """term = by * w^3."""

    type, stage = "Cubed", Stage.AFTER_DECAY

    @classmethod
    def outputs(cls, a: Strength, s: Sig) -> dict[str, Expr]:
        w = Var("w")
        return {"term": a.by * (w * w * w)}


class Shrunk(ElementwiseRegularizer):
    """w' = w towards 0 by rate * by, the proximal step of L1."""

    type, stage = "Shrunk", Stage.AFTER_UPDATE

    @classmethod
    def outputs(cls, a: Strength, s: Sig) -> dict[str, Expr]:
        w, step = Var("w"), Var("rate") * a.by
        left = where(w > 0, w - step, w + step)
        return {"w": where(absolute(w) > step, left, 0.0)}


def always(by: float) -> Callable[[Value], Any]:
    return lambda parameter: Strength(by)


def make(tmp_path: Path, fields: str, *regularizers: Regularizer, **words: Any) -> Solver:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER + fields)
    return Solver(tmp_path / "solver.prototxt", regularizers=regularizers, **words)


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("fields", ["", "clip_gradients: 0.5", "iter_size: 2"])
def test_stages(tmp_path: Path, fields: str, fused: bool, target: str) -> None:
    stages = (
        Regularizer(Doubled, Stage.BEFORE_CLIP, always(2.0)),
        Regularizer(Cubed, Stage.AFTER_DECAY, always(0.3)),
        Regularizer(Shrunk, Stage.AFTER_UPDATE, always(0.7)),
    )
    rng = np.random.default_rng(2)
    x, t = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    for chosen in (stages, stages[:1], stages[1:2], stages[2:]):
        solver = make(tmp_path, fields, *chosen, target=target, fused_update=fused)
        w = solver.net.params["ip"][0].astype(np.float64)
        h = np.zeros_like(w)
        passes = 2 if "iter_size" in fields else 1
        for _ in range(3):
            g = passes * ((x @ w.T - t) / 4).T @ x
            if stages[0] in chosen:
                g = 2.0 * g
            if "clip" in fields:
                g = g * min(1.0, 0.5 / float(np.sqrt((g**2).sum())))
            g = g / passes + 0.2 * w
            if stages[1] in chosen:
                g = g + 0.3 * w**3
            h = 0.5 * h + 0.1 * g
            w = w - h
            if stages[2] in chosen:
                w = np.sign(w) * np.maximum(np.abs(w) - 0.07, 0)
        solver.step(3, {"x": x, "t": t})
        assert np.abs(solver.net.params["ip"][0] - w).max() <= 1e-5


def test_none_for_this_parameter(tmp_path: Path) -> None:
    nowhere = Regularizer(Shrunk, Stage.AFTER_UPDATE, lambda parameter: None)
    feed = {"x": np.ones((4, 3)), "t": np.ones((4, 2))}
    one, other = make(tmp_path, "", nowhere), make(tmp_path, "")
    assert one.step(3, feed) == other.step(3, feed)
    assert [n.name for n in one.net.graph.nodes] == [n.name for n in other.net.graph.nodes]


def test_two_terms(tmp_path: Path) -> None:
    term = Regularizer(Cubed, Stage.AFTER_DECAY, always(1.0))
    with pytest.raises(GraphError, match="GC-O001"):
        make(tmp_path, "", term, term)
