"""Removal from random nets: as if the filters were zero, or, of dead ones, as if nothing were."""

from __future__ import annotations

import numpy as np
import pytest
from passes.before_after import close
from passes.removal_nets import net, zeroed

import graphc
from graphc.channels import channel_groups
from graphc.driver import assemble
from graphc.ir.clone import clone
from graphc.ir.graph import typed
from graphc.ir.verify import verify
from graphc.passes.recipe import parse_spec
from graphc.passes.remove_filters import RemoveFilters
from graphc.services import Services, sample_inputs

NETS = 510
SHARE = 30
"""How many nets a test takes."""


def outputs(graph: graphc.Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with graphc.compile(graph, target="reference", passes=()) as exe:
        return exe.forward(feeds)


@pytest.mark.parametrize("first", range(0, NETS, SHARE))
def test_what_is_left_is_the_net_with_those_filters_zero(first: int) -> None:
    removed = 0
    for seed in range(first, first + SHARE):
        graph = net(seed)
        feeds = sample_inputs(graph)
        options = RemoveFilters(criterion="random", ratio=(0.25, 0.5, 0.75)[seed % 3])
        less = clone(graph)
        outcome = options.choose(less, Services(assemble))
        before = graph
        if outcome.rung != "exact":
            before = zeroed(graph, outcome.channels, outcome.zeroed)
        outcome.apply(less)
        verify(less, 2)
        removed += int(outcome.removed.sum())
        expected, found = outputs(before, feeds), outputs(less, feeds)
        for name, array in expected.items():
            close(found[name], array, f"net {seed}, {name}: {outcome.told()}", 1e-5)
    assert removed > SHARE


@pytest.mark.parametrize("first", range(0, NETS, SHARE))
def test_dead_filters_are_not_missed(first: int) -> None:
    for seed in range(first, first + SHARE, 5):
        graph = net(seed)
        channels = channel_groups(graph)
        rng = np.random.default_rng(seed)
        mask = np.zeros(channels.count, bool)
        for group in channels.groups:
            if not group.why:
                mask[rng.permutation(group.classes)[: len(group.classes) // 2]] = True
        dead = zeroed(graph, channels, mask)
        for storage, uses in channels.uses.items():  # a bias is no reason to live
            out = uses[0].out_axis
            if out == 0 and typed(storage).rank == 1 and storage.name.endswith("bias"):
                array = dead.weights[storage.name]
                array[...] = rng.normal(size=array.shape)
        feeds = sample_inputs(graph)
        less, report = graphc.optimize(dead, [RemoveFilters(criterion="dead")], measure=False)
        found = outputs(less, feeds)
        for name, array in outputs(dead, feeds).items():
            close(found[name], array, f"net {seed}, {name}: {report}", 1e-5)


def test_one_removal_after_another_is_both_at_once() -> None:
    for seed in range(0, 60, 7):
        graph = net(seed)
        once, _ = graphc.optimize(graph, [RemoveFilters(ratio=0.5)], measure=False)
        again, report = graphc.optimize(once, [RemoveFilters(criterion="dead")], measure=False)
        feeds = sample_inputs(graph)
        found = outputs(again, feeds)
        for name, array in outputs(once, feeds).items():
            close(found[name], array, f"net {seed}, {name}: {report}", 1e-5)


@pytest.mark.parametrize("seed", [5, 10, 22, 65])
def test_channels_along_two_axes(seed: int) -> None:
    """Matrices that multiply rows of channels have classes along both of their bottoms' axes."""
    specs = ("project_bilinear:when=always", "low_rank:energy=0.9,when=always,measure=false")
    graph, _ = graphc.optimize(net(seed), [parse_spec(each) for each in specs], measure=False)
    less, feeds = clone(graph), sample_inputs(graph)
    outcome = RemoveFilters(criterion="random", ratio=0.5).choose(less, Services(assemble))
    exact = outcome.rung == "exact"
    before = graph if exact else zeroed(graph, outcome.channels, outcome.zeroed)
    outcome.apply(less)
    found = outputs(less, feeds)
    for name, array in outputs(before, feeds).items():
        close(found[name], array, f"{name}: {outcome.told()}", 1e-5)
