"""All thirteen networks on the C++ core: real Caffe's numbers, whatever the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from golden.netweights import top_gradient
from golden.test_nets import (
    DIFFERENTIATED,
    FILES,
    LARGE,
    Golden,
    build,
    check_backward,
    check_forward,
    check_outputs,
    read,
)
from plan.apart import unplanned

import graphc
from graphc.runtime.executable import Gradients

# an audit compares all of both arenas after every step
AUDITED = ("lenet", "cifar10_quick", "cifar10_full", "squeezenet_v1.1")


class Net(NamedTuple):
    name: str
    golden: Golden
    graph: graphc.Graph
    feeds: dict[str, np.ndarray]

    def compile(self, **how: Any) -> graphc.Executable:
        return graphc.compile(self.graph, target="cpu", **how)


def load(name: str, caffe: Path, shared: Path) -> Net:
    """A network with its rule-made weights, and its input."""
    golden = read(caffe, name)
    graph, x = build(shared / "zoo" / (FILES | LARGE)[name], golden)
    return Net(name, golden, graph, {golden.meta["input"]: x})


@pytest.fixture(scope="module", params=FILES | LARGE)
def net(request: pytest.FixtureRequest, caffe: Path, shared: Path) -> Net:
    """Each of the networks, loaded once for all tests."""
    return load(request.param, caffe, shared)


@pytest.mark.parametrize("passes", [(), "default"], ids=["plain", "passes"])
def test_every_blob(net: Net, passes: Any) -> None:
    exe = net.compile(passes=passes, keep="all", threads=1)
    check_forward(net.golden, exe.forward(net.feeds))


@pytest.mark.parametrize("passes", [(), "default"], ids=["plain", "passes"])
def test_outputs_alone(net: Net, passes: Any) -> None:
    """Blobs share memory then; and the same bits come out where they do not."""
    how = {"passes": passes, "keep": (net.golden.meta["logits_blob"],), "threads": 1}
    planned = net.compile(**how)
    tops = planned.forward(net.feeds)
    check_outputs(net.golden, tops)
    with unplanned():
        apart = net.compile(**how)
    assert apart.plan.work_bytes > planned.plan.work_bytes
    assert same(apart.forward(net.feeds), tops)


def test_poison_and_audit_change_nothing(net: Net) -> None:
    threads = 2 if net.name in AUDITED else 1  # kernels are chosen for a number of threads
    plain = net.compile(threads=threads).forward(net.feeds)
    exe = net.compile(threads=threads)
    exe._executor.check = {"poison": True, "audit": net.name in AUDITED}
    assert same(exe.forward(net.feeds), plain)


@pytest.mark.parametrize("name", sorted(DIFFERENTIATED))
def test_gradients(name: str, caffe: Path, shared: Path) -> None:
    net = load(name, caffe, shared)
    output = net.golden.meta["output"]
    seed = top_gradient(net.golden.meta["seed"], net.golden.arrays[f"out/{output}"].shape)

    def differentiated(**check: bool) -> Gradients:
        exe = net.compile(train=True, passes=())
        exe._executor.check = check
        exe.forward(net.feeds)
        return exe.backward({output: seed})

    planned = differentiated()
    check_backward(net.golden, planned)
    with unplanned():
        apart = differentiated()
    watched = differentiated(poison=True, audit=True)
    for other in (apart, watched):
        assert same(other.blobs, planned.blobs)
        for layer, arrays in planned.params.items():
            assert same(dict(enumerate(other.params[layer])), dict(enumerate(arrays)))


def same(a: Mapping[Any, np.ndarray], b: Mapping[Any, np.ndarray]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in b)
