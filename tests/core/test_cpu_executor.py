"""Target cpu through the public interface: the same numbers as the reference, whatever happens."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphError
from graphc.runtime import _steps

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1
                            weight_filler { type: "gaussian" std: 0.3 }
                            bias_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "a" type: "Convolution" bottom: "pool" top: "a"
        convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "b" type: "Convolution" bottom: "pool" top: "b"
        convolution_param { num_output: 3 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "sum" type: "Eltwise" bottom: "pool" bottom: "a" top: "sum" }
layer { name: "leak" type: "ReLU" bottom: "sum" top: "sum" relu_param { negative_slope: 0.1 } }
layer { name: "join" type: "Concat" bottom: "sum" bottom: "b" top: "join" }
layer { name: "cut" type: "Slice" bottom: "join" top: "c0" top: "c1"
        slice_param { slice_point: 5 } }
layer { name: "flat" type: "Flatten" bottom: "c0" top: "flat" }
layer { name: "ip" type: "InnerProduct" bottom: "flat" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
layer { name: "mean" type: "Pooling" bottom: "c1" top: "mean"
        pooling_param { pool: AVE global_pooling: true } }
"""

CARRY = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 dim: 4 } } }
layer { name: "cont" type: "Input" top: "cont" input_param { shape { dim: 3 dim: 2 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
        recurrent_param { num_output: 3 weight_filler { type: "uniform" min: -1 max: 1 } } }
"""

STATE = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 2 dim: 2 } } }
layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y"
        batch_norm_param { use_global_stats: false } }
"""

FILTER = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 5 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "f" }
layer { name: "p" type: "Power" bottom: "f" top: "p" power_param { scale: 2 } }
layer { name: "r" type: "Reduction" bottom: "p" top: "r" reduction_param { operation: MEAN } }
"""


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def from_text(text: str = NET, **words: Any) -> graphc.Graph:
        path = tmp_path / "net.prototxt"
        path.write_text(text)
        return graphc.load(path, **words)

    return from_text


def _draw(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _close(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name].shape == theirs[name].shape and ours[name].dtype == np.float32
        bound = 1e-5 * max(1.0, np.nan_to_num(np.abs(theirs[name])).max(initial=0))
        assert np.allclose(ours[name], theirs[name], rtol=0, atol=bound, equal_nan=True), name


def _pair(net: graphc.Graph, **words: Any) -> tuple[graphc.Executable, graphc.Executable]:
    return tuple(graphc.compile(net, target=target, **words) for target in ("cpu", "reference"))


@pytest.mark.parametrize("keep", [(), ("sum",), ("join", "a"), "all"])
@pytest.mark.parametrize("threads", [1, 2])
def test_same_numbers_as_the_reference(load: Any, keep: Any, threads: int) -> None:
    cpu, reference = _pair(load(), keep=keep, threads=threads)
    for seed in range(2):
        x = _draw((2, 3, 9, 8), seed)
        _close(cpu.run({"data": x}), reference.run({"data": x}))


def test_poison_and_audit_change_nothing(load: Any) -> None:
    net, x = load(), _draw((2, 3, 9, 8))
    exe = graphc.compile(net, target="cpu")
    plain = exe.run({"data": x})
    exe._executor.check = {"poison": True, "audit": True}
    for _ in range(2):
        watched = exe.run({"data": x})
        assert all(np.array_equal(plain[name], watched[name]) for name in plain)


def test_what_to_poison_is_found_only_when_asked(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    real = _steps.poison_ranges
    monkeypatch.setattr(_steps, "poison_ranges", lambda *told: (asked.append(1), real(*told))[1])
    exe, x = graphc.compile(load(), target="cpu"), _draw((2, 3, 9, 8))
    exe.run({"data": x})
    assert not asked
    exe._executor.check = {"poison": True}
    exe.run({"data": x})
    exe.run({"data": x})
    assert len(asked) == len(exe.plan.entries)


RESIDUALS = {
    "1x1": "Convolution:num_output: 6 kernel_size: 1",
    "3x3": "Convolution:num_output: 6 kernel_size: 3 pad: 1",
    "deep": "Convolution:num_output: 6 kernel_size: 7 pad: 3",
    "group": "Convolution:num_output: 6 kernel_size: 3 pad: 1 group: 2",
    "depthwise": "Convolution:num_output: 6 kernel_size: 3 pad: 1 group: 6",
    "deconvolution": "Deconvolution:num_output: 6 kernel_size: 3 pad: 1",
    "depthwise deconvolution": "Deconvolution:num_output: 6 kernel_size: 3 pad: 1 group: 6",
    "inner product": "InnerProduct:num_output: 20 axis: 3",
    "large inner product": "InnerProduct:num_output: 20 axis: 3",
}


@pytest.mark.parametrize("relu", ["", "negative_slope: 0.2", None])
@pytest.mark.parametrize("kind", RESIDUALS)
def test_a_residual_is_overwritten_in_place(load: Any, kind: str, relu: str | None) -> None:
    type_, _, options = RESIDUALS[kind].partition(":")
    field = {"InnerProduct": "inner_product_param"}.get(type_, "convolution_param")
    batch = 40 if kind.startswith("large") else 2
    text = f"""
    layer {{ name: "x" type: "Input" top: "x"
            input_param {{ shape {{ dim: {batch} dim: 6 dim: 11 dim: 20 }} }} }}
    layer {{ name: "r" type: "Power" bottom: "x" top: "r" power_param {{ scale: 2 }} }}
    layer {{ name: "c" type: "{type_}" bottom: "x" top: "c" {field} {{ {options}
            weight_filler {{ type: "gaussian" std: 0.2 }}
            bias_filler {{ type: "gaussian" std: 1 }} }} }}
    layer {{ name: "s" type: "Eltwise" bottom: "r" bottom: "c" top: "s" }}
    """
    if relu is not None:
        text += f'layer {{ name: "y" type: "ReLU" bottom: "s" top: "s" relu_param {{ {relu} }} }}'
    for threads in (1, 2):
        cpu, reference = _pair(load(text), threads=threads)
        x = {"x": _draw((batch, 6, 11, 20))}
        _close(cpu.run(x), reference.run(x))
        calls = cpu._executor.prepared.program.calls
        assert [c.name for c in calls if c.part == "forward"] == ["r", "c"]
        homes = {place.offset for place in cpu.plan.steps[-1].operands[-2:]}
        assert len(homes) == 1, "the sum is not made in place"


def test_results_are_the_callers(load: Any) -> None:
    exe = graphc.compile(load(), target="cpu")
    first = exe.run({"data": _draw((2, 3, 9, 8))})
    copies = {name: array.copy() for name, array in first.items()}
    exe.run({"data": _draw((2, 3, 9, 8), 1)})
    assert all(np.array_equal(first[name], copies[name]) for name in first)


def test_other_shapes_are_planned_anew(load: Any) -> None:
    cpu, reference = _pair(load(), keep=("join",))
    small = cpu.plan.peak_bytes
    with pytest.raises(GraphError, match="GC-R001"):  # does not fit ip's weights
        cpu.run({"data": _draw((2, 3, 20, 8))})
    for batch in (5, 1, 2):
        x = _draw((batch, 3, 9, 8))
        _close(cpu.run({"data": x}), reference.run({"data": x}))
    assert cpu.plan.peak_bytes == small
    cpu.run({"data": _draw((5, 3, 9, 8))})
    assert cpu.plan.peak_bytes != small and cpu.outputs["prob"] == (5, 5)


def test_an_empty_batch(load: Any) -> None:
    cpu, reference = _pair(load())
    x = _draw((0, 3, 9, 8))
    _close(cpu.run({"data": x}), reference.run({"data": x}))


def test_written_weights_count_from_the_next_run_on(load: Any) -> None:
    net, x = load(), _draw((2, 3, 9, 8))
    cpu, reference = _pair(net)
    cpu.run({"data": x})
    for exe in (cpu, reference):
        exe.params["conv"][0][...] *= 2
    _close(cpu.run({"data": x}), reference.run({"data": x}))
    part = cpu.params["ip"][0][1:3]  # a view, long after the array it is of
    cpu.run({"data": x})
    part[...] = 0.5
    reference.params["ip"][0][1:3] = 0.5
    _close(cpu.run({"data": x}), reference.run({"data": x}))
    kept = cpu.params["a"][0]
    cpu.run({"data": _draw((4, 3, 9, 8))})  # planned anew
    kept[...] = reference.params["a"][0][...] = _draw(kept.shape)
    _close(cpu.run({"data": x}), reference.run({"data": x}))
    assert np.array_equal(cpu.params["a"][0], kept)


def test_packing_is_skipped_where_nobody_can_have_written(load: Any) -> None:
    exe = graphc.compile(load(), target="cpu")
    runs: list[str] = []
    prepared = exe._executor.prepared
    real = prepared.run
    prepared.run = lambda entry, *args, **words: (runs.append(entry), real(entry, *args, **words))
    x = {"data": _draw((2, 3, 9, 8))}
    exe.run(x)
    exe.run(x)
    held = exe.params
    exe.run(x)
    exe.run(x)
    del held
    exe.run(x)
    exe.run(x)
    packed = [entry == "prepare" for entry in runs]
    assert packed == [True, False, False, True, False, True, False, True, False, False]


def test_the_nets_own_arrays_are_left_alone(load: Any) -> None:
    net = load()
    exe = graphc.compile(net, target="cpu")
    exe.params["conv"][0][...] = 0
    assert net.params["conv"][0].any()


def test_carried_states_go_on(load: Any) -> None:
    cpu, reference = _pair(load(CARRY))
    cont = np.ones((3, 2), np.float32)
    for seed in range(3):
        feeds = {"x": _draw((3, 2, 4), seed), "cont": cont}
        _close(cpu.run(feeds), reference.run(feeds))
    first = cpu.run(feeds)["h"]
    assert not np.array_equal(cpu.run(feeds)["h"], first)
    for exe in (cpu, reference):
        exe.reset()
    _close(cpu.run(feeds), reference.run(feeds))
    wide = {"x": _draw((3, 5, 4)), "cont": np.ones((3, 5), np.float32)}
    for _ in range(2):
        _close(cpu.run(wide), reference.run(wide))


def test_running_statistics_are_written(load: Any) -> None:
    cpu, reference = _pair(load(STATE))
    before = cpu.params["bn"][0].copy()
    for seed in range(2):
        x = {"x": _draw((4, 3, 2, 2), seed)}
        _close(cpu.run(x), reference.run(x))
    for ours, theirs in zip(cpu.params["bn"], reference.params["bn"], strict=True):
        assert np.allclose(ours, theirs, rtol=1e-6)
    assert not np.array_equal(cpu.params["bn"][0], before)


def test_extents_that_depend_on_data(load: Any) -> None:
    cpu, reference = _pair(load(FILTER), keep="all")
    for chosen in ([1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [1] * 5, [0] * 5):
        feeds = {"x": _draw((5, 3)), "s": np.array(chosen, np.float32)}
        ours = cpu.run(feeds)
        _close(ours, reference.run(feeds))
        assert ours["p"].shape == (sum(chosen), 3)


def test_odd_numbers_pass_through(load: Any) -> None:
    text = CARRY.split("layer")[1].replace("dim: 3 dim: 2 dim: 4", "dim: 6")
    text = "layer" + text + 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-42, 3e38], np.float32)
    cpu, reference = _pair(load(text))
    assert np.array_equal(cpu.run({"x": x})["y"], reference.run({"x": x})["y"], equal_nan=True)


def test_an_artefact_keeps_its_target(load: Any, tmp_path: Path) -> None:
    x = {"data": _draw((2, 3, 9, 8))}
    exe = graphc.compile(load(), target="cpu", keep=("join",))
    want = exe.run(x)
    exe.save(tmp_path / "n.gcz")
    again = graphc.open(tmp_path / "n.gcz")
    assert again.target == "cpu"
    assert all(np.array_equal(a, want[name]) for name, a in again.run(x).items())
    other = graphc.open(tmp_path / "n.gcz", target="reference")
    assert other.target == "reference"
    _close(want, other.run(x))


def test_what_the_target_cannot_do(load: Any) -> None:
    with pytest.raises(GraphError, match=r"GC-R003.*plans no memory"):
        _ = graphc.compile(load(), target="reference").plan
    exe = graphc.compile(load(), target="cpu")
    with pytest.raises(GraphError, match="GC-R003"):
        exe.backward()


def test_an_error_in_a_step_names_the_layer_and_the_next_run_works(load: Any) -> None:
    text = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "l" type: "Input" top: "l" input_param { shape { dim: 2 } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "l" top: "loss" }
    """
    cpu, reference = _pair(load(text))
    good = {"x": _draw((2, 3)), "l": np.array([0, 2], np.float32)}
    for _ in range(2):
        with pytest.raises(GraphError, match=r"GC-D003.*'loss' \(SoftmaxWithLoss\)"):
            cpu.run(good | {"l": np.array([0, 7], np.float32)})
        _close(cpu.run(good), reference.run(good))
        assert cpu.loss() == pytest.approx(reference.loss(), rel=1e-5)


def test_two_networks_in_two_threads(load: Any) -> None:
    net = load()
    x = [_draw((2, 3, 9, 8), seed) for seed in range(2)]
    exes = [graphc.compile(net, target="cpu", threads=1) for _ in range(2)]
    want = [exe.run({"data": each}) for exe, each in zip(exes, x, strict=True)]
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            for _ in range(100):
                got = exes[number].run({"data": x[number]})
                if any(not np.array_equal(got[n], want[number][n]) for n in got):
                    wrong.append(number)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="it keeps freed memory")
def test_many_executables_leave_nothing_behind(load: Any) -> None:
    resource = pytest.importorskip("resource")
    net, x = load(), {"data": _draw((2, 3, 9, 8))}

    def cycle() -> None:
        graphc.compile(net, target="cpu", passes=(), threads=1).run(x)

    for _ in range(10):
        cycle()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(60):
        cycle()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 << 10  # KiB
