"""Which layers of a graph are to be decomposed, and which stay, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.count import macs
from graphc.errors import fail, near
from graphc.ir.graph import Graph, Node, typed
from graphc.ir.provenance import LayerChange
from graphc.passes._low_rank.choice import AUTO, Choice, Config, pattern
from graphc.passes._low_rank.families import families
from graphc.passes._low_rank.job import Job, Rng
from graphc.passes._low_rank.layers import LAYERS, why_not
from graphc.records import record

FACTORED = "it is part of a decomposition already"
FLOAT = 4
"""Bytes of a parameter."""
SPLIT = "split_groups first makes a layer of each group"
HINT = "prune_ranks cuts it further, merge_low_rank makes one layer of it again"


@record(frozen=True)
class Wish:
    """What was asked for: a usual choice, a JSON file of others, one rank for each layer, patterns
    of names."""

    usual: Choice
    config: str = ""
    ranks: tuple[int, ...] = ()
    layers: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


def jobs_of(graph: Graph, rng: Rng, wish: Wish) -> tuple[list[Job], list[LayerChange]]:
    """The jobs in order, and what is to be said of layers that stay.

    Raises GC-T001 for patterns and files that name no layer, a number of ranks that is not that of
    the layers, weights that are not finite, a layer that was asked for and cannot be decomposed,
    and a net of which everything is decomposed already.
    """
    nodes = [n for n in graph.forward_nodes() if n.op in LAYERS]
    names = [node.name for node in nodes]
    chosen = matching(wish.layers, names) if wish.layers else lambda name: True
    skipped = matching(wish.skip, names)
    config = Config(wish.config, wish.usual, names) if wish.config else None
    factored = {node for family in families(graph) for node in family.nodes}
    shares = Counter(v.storage for n in graph.nodes for v in n.params.values())
    jobs: list[Job] = []
    stays: list[LayerChange] = []
    for node in nodes:
        if not chosen(node.name) or skipped(node.name):
            continue
        choice = wish.usual if config is None else config.of(node.name)
        if choice is None or choice.skip:
            continue
        named = choice.named or node.name in wish.layers
        job, reason = None, FACTORED if node in factored else why_not(node, shares)
        if not reason:
            job = Job(graph, rng, node, choice)
            reason = "" if choice.method == AUTO else job.why_not(choice.method)
        if reason and named:
            grouped = job is not None and job.conv.group > 1
            hint = HINT if reason == FACTORED else SPLIT if grouped else ""
            fail("GC-T001", f"low_rank: {node.name!r} cannot be decomposed: {reason}", hint)
        if reason or job is None:
            stays.append(staying(node, reason))
        else:
            jobs.append(job)
    if not jobs and stays and all(each.reason == FACTORED for each in stays):
        fail("GC-T001", "low_rank: every layer is part of a decomposition already", HINT)
    _give_ranks(jobs, wish.ranks)
    return jobs, stays


def staying(node: Node, reason: str) -> LayerChange:
    """What is told of a layer that nothing is done to."""
    work = macs(node)
    params = sum(typed(value).size for value in node.params.values())
    size = FLOAT * params
    return LayerChange(node.name, "stays", reason, (work, work), (params, params), (size, size))


def matching(
    patterns: Sequence[str], names: Sequence[str], what: str = "low_rank"
) -> Callable[[str], bool]:
    """Does a name match any pattern? Raises GC-T001 for a pattern that matches none of `names`."""
    tests = []
    for text in patterns:
        test = pattern(text, f"{what}: ")
        if not any(map(test, names)):
            told = f"{what}: {text!r} names no layer that can be decomposed"
            fail("GC-T001", told, near(text, names) or f"there are {', '.join(names) or 'none'}")
        tests.append(test)
    return lambda name: any(test(name) for test in tests)


def _give_ranks(jobs: Sequence[Job], ranks: Sequence[int]) -> None:
    if not ranks:
        return
    if len(ranks) not in (1, len(jobs)):
        names = ", ".join(job.node.name for job in jobs)
        fail("GC-T001", f"low_rank: {len(ranks)} ranks for {len(jobs)} layers: {names}")
    every = ranks if len(ranks) > 1 else list(ranks) * len(jobs)
    for job, rank in zip(jobs, every, strict=True):
        job.choice = replace(job.choice, rank=rank)


def order_of(graph: Graph) -> dict[str, int]:
    """The place of each layer by name."""
    found: dict[str, int] = {}
    for at, node in enumerate(graph.forward_nodes()):
        found.setdefault(node.name, at)
    return found


__all__ = ["FLOAT", "Wish", "jobs_of", "matching", "order_of", "staying"]
