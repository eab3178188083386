"""All passes, lossy ones too, in random orders on random nets: graphs stay valid.

GRAPHC_GOLDEN_NETS=all tries 1,000 orders.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from passes.removal_nets import net

import graphc
from graphc.driver import prepare
from graphc.front import parse_net
from graphc.front.export import to_prototxt
from graphc.ir.verify import verify
from graphc.passes.recipe import parse_spec
from graphc.passes.registry import DEFAULT, all_passes
from graphc.services import sample_inputs

SPECS = (
    *DEFAULT,
    "expand",
    "merge_convolutions:when=always",
    "merge_gates",
    "compensate:ratio=0.2",
    "split_groups",
    "merge_groups",
    "low_rank:method=pca,energy=0.9,when=always",
    "low_rank:method=kmeans,rank=2,when=always",
    "gather_channels:when=always",
    "merge_low_rank",
    "prune_ranks:error=0.2",
    "project_bilinear:when=always",
    "prune_weights:sparsity=0.5",
    "quantize_weights",
    "sparse_layout:layout=direct,when=always",
    "remove_filters:ratio=0.3",
    "remove_filters:macs=0.7,scope=local,mode=lossy",
    "remove_filters:criterion=dead",
)
ORDERS = 1000 if os.environ.get("GRAPHC_GOLDEN_NETS") == "all" else 20
STEP = 10


def test_it_is_all_of_them() -> None:
    assert {parse_spec(each).name for each in SPECS} == set(all_passes())


@pytest.mark.parametrize("first", range(0, ORDERS, STEP))
def test_the_graph_stays_valid(first: int) -> None:
    for seed in range(first, first + STEP):
        rng = np.random.default_rng(seed)
        graph = net(seed)
        feeds = sample_inputs(graph)
        for at in rng.permutation(len(SPECS)):
            each = parse_spec(SPECS[at])
            try:
                graph, _ = graphc.optimize(graph, [each], calibration=feeds, measure=False)
            except graphc.GraphError as error:  # it says what it needs; the graph is as it was
                assert error.code == "GC-T001" and " failed: " not in str(error), f"net {seed}"
            verify(graph, 2)
        again = prepare(parse_net(to_prototxt(graph)))
        assert [v.type for v in again.outputs] == [v.type for v in graph.outputs]
