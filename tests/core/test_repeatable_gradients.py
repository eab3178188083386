"""Gradients: the same bits in every run, under `deterministic` with any number of threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core.rows import Array

import graphc

NETS = ["lenet", "cifar10_quick"]
BATCH = 20
STATES = {"LSTM": ("h", "c"), "RNN": ("h",)}
"""Recurrent layers, and the states that one exposes."""


def recurrent(kind: str) -> str:
    """A net of one such layer that has every gradient part, and work for several threads."""
    shapes = {"x": (BATCH, 16, 9), "cont": (BATCH, 16), "static": (16, 12)}
    shapes |= {state: (1, 16, 150) for state in STATES[kind]}
    inputs = [
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {extent}" for extent in shape)
        + " } } }"
        for name, shape in shapes.items()
    ]
    bottoms = [f'bottom: "{name}" propagate_down: {str(name != "cont").lower()}' for name in shapes]
    tops = [f'top: "{top}"' for top in ("y", *(f"{state}T" for state in STATES[kind]))]
    layer = f"""layer {{ name: "r" type: "{kind}" {" ".join((*bottoms, *tops))}
        recurrent_param {{ num_output: 150 expose_hidden: true
                          weight_filler {{ type: "uniform" min: -0.1 max: 0.1 }} }} }}"""
    return "\n".join((*inputs, layer))


def gradients(net: graphc.Graph, threads: int, deterministic: bool = False) -> dict[str, Array]:
    """Of every parameter and input, after a second run that must not differ from the first."""
    exe = graphc.compile(net, train=True, threads=threads, deterministic=deterministic)
    calls = exe._executor.program.calls
    assert not deterministic or all(v.deterministic for call in calls for v in call.variants)
    rng = np.random.default_rng(0)
    feed = {n: rng.standard_normal(s).astype(np.float32) for n, s in exe.inputs.items()}
    found: list[dict[str, Array]] = []
    for _ in range(2):
        tops = exe.forward(feed)
        seeds = {
            name: np.random.default_rng(1).standard_normal(y.shape) for name, y in tops.items()
        }
        told = exe.backward(seeds)
        made = {name: np.array(array) for name, array in told.blobs.items()}
        for layer, arrays in told.params.items():
            made |= {f"{layer} {i}": np.array(array) for i, array in enumerate(arrays)}
        found.append(made)
    first, second = found
    assert all(first[name].tobytes() == array.tobytes() for name, array in second.items())
    return first


@pytest.fixture(params=[*NETS, *STATES])
def net(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> graphc.Graph:
    if request.param in STATES:
        path = tmp_path / "net.prototxt"
        path.write_text(recurrent(request.param))
        return graphc.load(path)
    return graphc.load(root / "models" / request.param / "deploy.prototxt", batch=BATCH)


def test_threads_change_little(net: graphc.Graph) -> None:
    one, two = gradients(net, 1), gradients(net, 2)
    for name, array in one.items():
        off = np.linalg.norm(two[name] - array) / max(1e-30, np.linalg.norm(array))
        assert off <= 1e-5, name


def test_threads_change_no_bit_of_what_is_deterministic(net: graphc.Graph) -> None:
    one = gradients(net, 1, deterministic=True)
    for threads in (2, 3):
        many = gradients(net, threads, deterministic=True)
        for name, array in one.items():
            assert many[name].tobytes() == array.tobytes(), (name, threads)
