"""Lowering for a GPU: kernels by the CPU's rows, views, in-place writes, what libraries offer."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphc
from graphc import driver
from graphc.cuda import symbols
from graphc.cuda.calls import work_of
from graphc.cuda.variants import Offer, Use
from graphc.ir.graph import Graph
from graphc.lower.cuda import ALIGN, lower
from graphc.plan import plan_program, verify_plan
from graphc.program import HOST, Program
from graphc.train.build import training_graph
from graphc.train.settings import Settings

MODELS = Path(__file__).resolve().parents[2] / "models"


def training(name: str, batch: int = 16) -> Graph:
    net = graphc.load(MODELS / name / "train.prototxt", phase="TRAIN", batch=batch)
    return training_graph(driver.optimize(net, ())[0], Settings())


@pytest.mark.parametrize("name", ["lenet", "resnet20", "alexnet", "googlenet"])
def test_every_call_of_a_training_step_has_kernels(name: str) -> None:
    program = lower(training(name))
    verify_plan(program, plan_program(program))
    for call in program.calls:
        (variant,) = call.variants
        assert variant.symbol in symbols()
        found = work_of(program, call, variant.symbol)
        assert found.launches and found.workspace <= variant.workspace_bytes
    assert all(b.nbytes % ALIGN == 0 for b in program.buffers if b.view_of is None)


def test_channels_that_a_concat_joins_are_copied_and_kernels_meet_dense_operands() -> None:
    net = graphc.load(MODELS / "googlenet/deploy.prototxt", batch=2)
    program = lower(driver.optimize(net, ())[0])
    gaps = {b.id for b in program.buffers if not b.is_dense}
    touched = [c for c in program.calls if gaps & {o.buffer for o in (*c.reads, *c.writes)}]
    assert len(touched) == 9 * 4, "four branches each of nine modules"
    assert {c.variants[0].symbol for c in touched} == {"copy"}


TEXT = """
name: "n"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 4 dim: 5 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 group: 2 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 3 } }
layer { name: "noise" type: "DummyData" top: "noise" dummy_data_param { shape { dim: 2 dim: 3 } } }
layer { name: "sum" type: "Eltwise" bottom: "ip" bottom: "noise" top: "sum" }
"""


@pytest.fixture
def small(tmp_path: Path) -> Graph:
    path = tmp_path / "net.prototxt"
    path.write_text(TEXT)
    return driver.shape(graphc.load(path))


def test_libraries_offer_variants_of_products_alone(small: Graph) -> None:
    asked: list[Use] = []

    def offers(use: Use) -> list[Offer]:
        asked.append(use)
        return [Offer("lib:1", 300, 0.5, False), Offer("lib:2", 0, 0.75)]

    program = lower(small, variants=offers)
    assert [use.symbol for use in asked] == ["conv", "inner_product"]
    conv = asked[0]
    assert [s.shape for s in conv.reads] == [(2, 4, 5, 5), (4, 2, 3, 3), (4,)]
    assert conv.writes[0].shape == (2, 4, 3, 3)
    assert dict(conv.told)["group"] == 2 and dict(conv.told)["kernel"] == (3, 3)
    found = program.calls[0].variants
    assert [v.symbol for v in found] == ["conv", "lib:1", "lib:2"]
    assert [v.workspace_bytes for v in found] == [0, 512, 0]
    assert _chosen(program, None) == "lib:1" and _chosen(program, 0) == "lib:2"
    steady = lower(small, variants=offers, deterministic=True, pin_variants=True)
    assert [v.symbol for v in steady.calls[0].variants] == ["lib:2"]


def _chosen(program: Program, budget: int | None) -> str:
    step = plan_program(program, budget).steps[0]
    return program.calls[step.call].variants[step.variant].symbol


def test_a_layer_without_a_kernel_is_a_host_step_that_is_marked_slow(small: Graph) -> None:
    program = lower(small)
    hosts = [c for c in program.calls if c.variants[0].symbol == HOST]
    assert [c.name for c in hosts] == ["noise"]
    assert hosts[0].variants[0].est_us > 10 * max(c.variants[0].est_us for c in program.calls[:2])
