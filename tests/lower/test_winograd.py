"""Winograd's convolution among a layer's kernels: offered, priced by its own work, and packed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import _core
from graphc.costs import Costs
from graphc.lower import cpu
from graphc.program import Program

needs_blocks = pytest.mark.skipif(
    _core.channel_block() == 0, reason="images are blocked for oneDNN, which is not there"
)


def conv(name: str, bottom: str, options: str, more: str = "") -> str:
    return f"""
    layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" {more}
            convolution_param {{ {options} weight_filler {{ type: "xavier" }} }} }}"""


def net(tmp_path: Path, shape: tuple[int, ...], *layers: str) -> graphc.Graph:
    dims = " ".join(f"dim: {n}" for n in shape)
    data = (
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}'
    )
    (tmp_path / "net.prototxt").write_text(data + "".join(layers))
    return graphc.load(tmp_path / "net.prototxt")


def symbols(exe: graphc.Executable, entry: str = "forward") -> list[str]:
    return symbols_of(exe._executor.prepared.program, entry)


def symbols_of(program: Program, entry: str = "forward") -> list[str]:
    return [program.calls[c].variants[0].symbol for c in program.entries[entry]]


@pytest.fixture(autouse=True)
def untuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path / "cache"))


SAME = "num_output: 64 kernel_size: 3 pad: 1"


@needs_blocks
@pytest.mark.parametrize("threads", [1, 2])
def test_the_shipped_table_chooses_it_where_products_prevail(tmp_path: Path, threads: int) -> None:
    graph = net(tmp_path, (1, 64, 56, 56), conv("a", "data", SAME), conv("b", "a", SAME))
    assert symbols(graphc.compile(graph, threads=threads)).count("conv_winograd") == 2
    wide = SAME.replace("64", "512")
    graph = net(tmp_path, (1, 512, 7, 7), conv("a", "data", wide), conv("b", "a", wide))
    assert "conv_winograd" not in symbols(graphc.compile(graph, threads=threads))


@needs_blocks
@pytest.mark.parametrize(
    "other",
    [
        "kernel_size: 7",
        "kernel_h: 3 kernel_w: 5",
        "kernel_h: 3 kernel_w: 1",
        "kernel_size: 3 stride: 2",
        "kernel_size: 3 group: 2",
        "kernel_size: 3 dilation: 2",
    ],
)
def test_other_kernels_are_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    seen = record(monkeypatch)
    graphc.compile(net(tmp_path, (1, 32, 12, 12), conv("a", "data", f"num_output: 32 {other}")))
    assert "conv" in seen and "conv_winograd" not in seen


def record(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Multiply-adds of each kernel that a price is asked for, from now on."""
    seen: dict[str, int] = {}

    class Told(Costs):
        def microseconds(self, symbol: str, key: str, macs: int, nbytes: int) -> Any:
            seen[symbol] = macs
            return super().microseconds(symbol, key, macs, nbytes)

    monkeypatch.setattr(cpu, "known_costs", Told)
    return seen


@needs_blocks
def test_its_price_is_that_of_its_own_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = record(monkeypatch)
    wide = SAME.replace("64", "256")
    graphc.compile(net(tmp_path, (1, 256, 32, 32), conv("a", "data", wide)))
    assert seen["conv"] == seen["dnnl_conv"] == 9 * 256**2 * 32**2
    assert seen["conv"] / 4 < seen["conv_winograd"] < seen["conv"] / 3.5


def test_without_blocks_another_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_ISA", "portable")
    graph = net(tmp_path, (1, 64, 56, 56), conv("a", "data", SAME))
    assert symbols(graphc.compile(graph)) == ["conv"]


RELU = """layer { name: "relu" type: "ReLU" bottom: "a" top: "a" }"""
SUM = """layer { name: "sum" type: "Eltwise" bottom: "b" bottom: "a" top: "sum" }"""


@needs_blocks
def test_layers_that_share_a_weight_share_its_points(tmp_path: Path) -> None:
    """Whatever follows in the same call; and the planner gives the room that it asks for."""
    named = 'param { name: "w" } param { name: "b" }'
    layers = conv("a", "data", SAME, named), RELU, conv("b", "a", SAME, named), SUM
    graph = net(tmp_path, (2, 64, 27, 30), *layers)
    exe = graphc.compile(graph, threads=2)
    assert symbols(exe).count("conv_winograd") == 2
    assert symbols(exe, "prepare") == ["conv_winograd_pack"]
    exe._executor.check = {"poison": True, "audit": True}
    x = {"data": np.random.default_rng(0).standard_normal((2, 64, 27, 30)).astype(np.float32)}
    wanted = graphc.compile(graph, target="reference").run(x)["sum"]
    np.testing.assert_allclose(exe.run(x)["sum"], wanted, rtol=1e-4, atol=1e-5)


@needs_blocks
@pytest.mark.parametrize(("batch", "pays"), [(1, False), (16, True)])
def test_four_times_the_weight_must_pay(batch: int, pays: bool, tmp_path: Path) -> None:
    """In memory that is held, or, of a weight that each step changes, in packing it anew."""
    label = f"""
    layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: {batch} }} }} }}
    layer {{ name: "ip" type: "InnerProduct" bottom: "a" top: "ip"
            inner_product_param {{ num_output: 5 weight_filler {{ type: "xavier" }} }} }}
    layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}"""
    wide = SAME.replace("64", "512")
    graph = net(tmp_path, (batch, 512, 14, 14), conv("a", "data", wide), label)
    exe = graphc.compile(graph, train=True, threads=1)
    assert ("conv_winograd" in symbols(exe)) == pays
    path = tmp_path / "solver.prototxt"
    path.write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    solver = graphc.Solver(path, threads=1)
    assert ("conv_winograd" in symbols_of(solver.net._executor.program)) == pays


@needs_blocks
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_training_step_takes_it_for_every_part(kernel: int, tmp_path: Path) -> None:
    """Also where bits must not depend on threads."""
    same = f"num_output: 32 kernel_size: {kernel} pad: {kernel // 2}"
    layers = conv("a", "data", same), conv("b", "a", same)
    graph = net(tmp_path, (32, 32, 16, 16), *layers)
    for deterministic in (False, True):
        exe = graphc.compile(graph, train=True, threads=2, deterministic=deterministic)
        assert symbols(exe).count("conv_winograd") == 2
        assert symbols(exe, "backward").count("conv_winograd_dweight") == 2
        assert symbols(exe, "backward").count("conv_winograd") == 2
    x = {"data": np.random.default_rng(0).standard_normal((32, 32, 16, 16)).astype(np.float32)}
    seed = {"b": np.random.default_rng(1).standard_normal((32, 32, 16, 16)).astype(np.float32)}
    found = []
    for target in ("cpu", "reference"):
        exe = graphc.compile(graph, train=True, target=target)
        exe.forward(x)
        found.append(exe.backward(seed).params)
    for layer, arrays in found[0].items():
        for made, wanted in zip(arrays, found[1][layer], strict=True):
            np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
