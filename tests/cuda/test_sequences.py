"""A network of sequences trained by CUDA kernels as by the CPU's, a regularizer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda.test_regularizers import group_lasso

from graphc import Solver
from graphc.cuda.on_cpu import unavailable
from graphc.ir.graph import Value, typed
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Forward, Values
from graphc.ops.update.base import TERM, SolverOp
from graphc.ops.update.regularizer import Regularizer, Stage
from graphc.program import HOST

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

NET = """
layer { name: "in" type: "Input" top: "ids" top: "cont" top: "t" input_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 dim: 5 } } }
layer { name: "embed" type: "Embed" bottom: "ids" top: "e" embed_param {
  input_dim: 7 num_output: 6 weight_filler { type: "gaussian" std: 0.5 } } }
layer { name: "mvn" type: "MVN" bottom: "e" top: "m" mvn_param { across_channels: true } }
layer { name: "lstm" type: "LSTM" bottom: "m" bottom: "cont" top: "h" recurrent_param {
  num_output: 5 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "rnn" type: "RNN" bottom: "h" bottom: "cont" top: "r" recurrent_param {
  num_output: 5 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "tile" type: "Tile" bottom: "r" top: "r2" tile_param { axis: 2 tiles: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "r2" top: "y" inner_product_param {
  num_output: 5 axis: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "y" bottom: "t" top: "loss" }
layer { name: "sum" type: "Reduction" bottom: "y" top: "s" loss_weight: 0.01
  reduction_param { operation: SUMSQ } }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001
            clip_gradients: 0.5 random_seed: 3"""


@dataclass(frozen=True)
class Strength:
    strength: float


class GroupLasso(SolverOp):
    """term = strength * w / |w of the row|."""

    type, tops = "GroupLasso", (TERM,)

    @staticmethod
    def infer(a: Strength, s: Sig) -> dict[str, Type]:
        return {TERM: s.params["w"]}

    @staticmethod
    def forwards(a: Strength, s: Sig) -> tuple[Forward, ...]:
        return (Forward("update", reads=("w",), writes=(TERM,)),)

    @staticmethod
    def reference(a: Strength, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {TERM: group_lasso(v["w"], 0, a.strength)}

    kernels = (Kernel("cpu", "update", "group_lasso", attrs=lambda a, s: {"axis": 0, **vars(a)}),)


def strength_of(weight: Value) -> Strength | None:
    return Strength(0.02) if len(typed(weight).shape) > 1 else None


def trained(target: str) -> tuple[dict[tuple[str, int], np.ndarray], set[str]]:
    """The parameters after three steps, and which calls are host steps."""
    rng = np.random.default_rng(0)
    feed: dict[str, Any] = {"ids": rng.integers(0, 7, (4, 3)).astype(np.float32)}
    feed["cont"] = np.float32([[0, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]])
    feed["t"] = rng.random((4, 3, 5)).astype(np.float32)
    lasso = Regularizer(GroupLasso, Stage.AFTER_DECAY, strength_of)
    solver = Solver("solver.prototxt", target=target, regularizers=[lasso])
    for _ in range(3):
        solver.step(1, feed=feed)
    blobs = solver.net.params
    found = {(layer, i): np.array(x) for layer, xs in blobs.items() for i, x in enumerate(xs)}
    calls = solver.net.program.calls
    hosts = {c.name for c in calls if any(v.symbol == HOST for v in c.variants)}
    solver.close()
    return found, hosts


def test_training_agrees_with_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    wanted, on_host = trained("cpu")
    found, by_reference = trained("fake")
    assert not by_reference, "each call has CUDA kernels"
    assert on_host, "the CPU has no kernel for the regularizer"
    assert found.keys() == wanted.keys() and len(found) == 12
    for key, blob in found.items():
        np.testing.assert_allclose(blob, wanted[key], rtol=1e-5, atol=1e-6, err_msg=str(key))
