"""Training steps of networks: each call has CUDA kernels, and a step of a small one is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core.rows import close
from cuda.bench import ORDERS, SEED, STEP, Bench
from cuda.graphs import calls, training

import graphc
from graphc.cuda.on_cpu import unavailable
from graphc.ir.graph import Role, Value
from graphc.ops.spec import Ctx
from graphc.rng import uniform
from graphc.train.settings import Settings

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("name", ["lenet", "resnet20", "alexnet", "googlenet"])
def test_every_call_has_kernels(name: str) -> None:
    net = graphc.load(MODELS / name / "train.prototxt", phase="TRAIN", batch=16)
    found = list(calls(training(net, Settings())))
    assert len(found) > 25
    for call in found:
        if call.view is None:
            assert call.work.launches, call


NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 3 dim: 2 dim: 9 dim: 8 } shape { dim: 3 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm"
  lrn_param { local_size: 3 alpha: 0.5 } }
layer { name: "max" type: "Pooling" bottom: "norm" top: "max"
  pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "left" type: "Convolution" bottom: "max" top: "left" convolution_param {
  num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "right" type: "Convolution" bottom: "max" top: "right" convolution_param {
  num_output: 3 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "sum" type: "Eltwise" bottom: "left" bottom: "right" top: "sum" }
layer { name: "join" type: "Concat" bottom: "sum" bottom: "right" bottom: "max" top: "join" }
layer { name: "mean" type: "Pooling" bottom: "join" top: "mean"
  pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "mean" top: "mean" }
layer { name: "ip" type: "InnerProduct" bottom: "mean" top: "ip" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


class Step:
    """A training step; `arrays` holds what every value is, float64 as the references make it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "net.prototxt"
        path.write_text(NET)
        self.graph = training(graphc.load(path, phase="TRAIN"), Settings())
        self.calls = list(calls(self.graph))
        rng = np.random.default_rng(0)
        self.start: dict[Value, np.ndarray] = {}
        for node in self.graph.nodes:
            for value in (*node.ins.values(), *node.params.values(), *node.outs.values()):
                if value.producer is None or node.name == "data":
                    drawn = np.abs(rng.standard_normal(value.type.shape)) / 3
                    self.start.setdefault(value, np.float32(drawn))
        data, label = self.graph.nodes[0].outs.values()
        self.start[data] = np.float32(rng.standard_normal(data.type.shape))
        self.start[label] = np.array([4, 0, 2], np.float32)
        self.start |= {seed: np.float32(1) for seed in self.graph.seeds.values()}

    def by_reference(self) -> dict[Value, np.ndarray]:
        known = {v: a.astype(np.float64) for v, a in self.start.items()}
        for call in self.calls:
            layer = call.layer
            sig, reads = layer.sig(), {r: known[v] for r, v in call.reads.items()}
            draw = self._draw(layer.name)
            ctx = Ctx(sig, "forward" if call.part == "view" else call.part, draw)
            if call.node.role is Role.GRAD and call.node.of is not None:
                (value,) = call.writes.values()
                known[value] = np.asarray(layer.op.vjp(layer.attrs, call.part, reads, ctx))
            else:
                made = layer.op.reference(layer.attrs, reads, ctx)
                known |= {v: np.asarray(made[r]) for r, v in call.writes.items()}
                if call.node.role is Role.UPDATE:
                    known |= {call.node.params[r]: made[r] for r in layer.op.changed}
        return known

    def by_kernels(self, bench: Bench) -> dict[Value, np.ndarray]:
        known = {v: np.array(a, ndmin=0) for v, a in self.start.items()}
        for call in self.calls:
            operands = [known[v] for v in call.reads.values()]
            for role, value in call.writes.items():
                dtype = {"f32": np.float32, "u8": np.uint8}[value.type.dtype]
                if call.view is not None:
                    view, (x,) = call.view, operands
                    cut = slice(view.start, view.stop)
                    whole = (
                        x
                        if view.axis is None
                        else np.take(x, range(*cut.indices(x.shape[view.axis])), view.axis)
                    )
                    known[value] = np.ascontiguousarray(whole).reshape(value.type.shape)
                elif role not in call.layer.params:
                    known[value] = np.full(value.type.shape, 7, dtype)
                operands.append(known[value])
            if call.view is None:
                bench.run(call.work, operands)
        return known

    @staticmethod
    def _draw(layer: str):
        return lambda shape, tag: uniform(shape, seed=SEED, step=STEP, layer=layer, tag=tag)


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
def test_a_step_updates_the_parameters_as_the_references_do(tmp_path: Path) -> None:
    step = Step(tmp_path)
    wanted = step.by_reference()
    bench = Bench([call.work for call in step.calls if call.view is None])
    changed = 0
    for order in ORDERS:
        bench.module.order(order, seed=4)
        found = step.by_kernels(bench)
        for value, array in wanted.items():
            close(found[value], array, value.name, products=300)
            changed += value in step.start and not np.array_equal(found[value], step.start[value])
    assert changed == 3 * (2 * 10 + 3), "ten parameters with their histories, BatchNorm's state"
