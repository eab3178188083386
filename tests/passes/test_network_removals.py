"""Removal of zero filters from known networks: the same logits, also when exported.

GRAPHC_GOLDEN_NETS=all adds those that take more seconds or memory on the reference executor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from passes.networks import Network, read
from passes.removal_nets import zeroed
from passes.test_networks import (
    CPU,
    OURS,
    PUBLISHED,
    REFERENCE,
    ZOO,
    check_export,
    far,
    open_published,
    run,
)

import graphc
from graphc.channels import channel_groups
from graphc.passes.remove_filters import RemoveFilters


def check(network: Network, folder: Path) -> None:
    """Zero a fifth of the filters of each group, and remove what is dead then."""
    graph, _ = graphc.optimize(network.graph, [], measure=False)
    channels = channel_groups(graph, network.logits)
    rng = np.random.default_rng(3)
    gone = np.zeros(channels.count, bool)
    for group in channels.groups:
        if not group.why:
            gone[rng.permutation(group.classes)[: len(group.classes) // 5]] = True
    planted = zeroed(graph, channels, gone)
    removal = RemoveFilters(criterion="dead")
    less, report = graphc.optimize(planted, [removal], keep=network.logits, measure=False)
    before, after = (sum(v.size for v in g.weights.values()) for g in (planted, less))
    assert after < 0.97 * before, report
    assert ", exact" in report.passes[-1].detail[0]
    plain, fast = run(planted, network), run(less, network, "cpu")
    assert far(run(less, network), plain) <= REFERENCE
    assert far(fast, plain) <= CPU
    check_export(less, network, fast, folder)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights(name: str, shared: Path, tmp_path: Path) -> None:
    check(open_published(name, shared), tmp_path)


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str, shared: Path, tmp_path: Path) -> None:
    check(read(shared / "zoo" / f"{ZOO[name]}.prototxt"), tmp_path)


@pytest.mark.parametrize("name", OURS)
def test_ours(name: str, root: Path, tmp_path: Path) -> None:
    path = root / "models" / name / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    check(read(path), tmp_path)
