"""The forward of all thirteen networks on the C++ core: real Caffe's numbers, plan by plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from golden.test_nets import FILES, LARGE, Golden, build, check_forward, check_outputs, read
from plan.apart import unplanned

import graphc

# an audit compares all of both arenas after every step
AUDITED = ("lenet", "cifar10_quick", "cifar10_full", "squeezenet_v1.1")


class Net(NamedTuple):
    name: str
    golden: Golden
    graph: graphc.Graph
    feeds: dict[str, np.ndarray]

    def compile(self, **how: Any) -> graphc.Executable:
        return graphc.compile(self.graph, target="cpu", **how)


@pytest.fixture(scope="module", params=FILES | LARGE)
def net(request: pytest.FixtureRequest, caffe: Path, shared: Path) -> Iterator[Net]:
    """One of the networks with its rule-made weights, loaded once for all tests."""
    name = request.param
    golden = read(caffe, name)
    graph, x = build(shared / "zoo" / (FILES | LARGE)[name], golden)
    yield Net(name, golden, graph, {golden.meta["input"]: x})


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
    plain = net.compile(threads=1).forward(net.feeds)
    exe = net.compile(threads=2 if net.name in AUDITED else 1)
    exe._executor.check = {"poison": True, "audit": net.name in AUDITED}
    assert same(exe.forward(net.feeds), plain)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in b)
