"""Small graphs with gradients, made by chance: what the planner is compared with the optimum on.

A graph is plain data, so that it goes into JSON: node i of `count` forward nodes, then of the
backward, in topological order; `reads[i]`: nodes whose results it needs, `sizes[i]` and `costs[i]`:
units of memory and time. Gradients are as large as what they are of.
"""

from __future__ import annotations

import random
from typing import TypedDict

KINDS = ("chain", "residual", "dag")


class Small(TypedDict):
    kind: str
    count: int
    reads: list[list[int]]
    sizes: list[int]
    costs: list[int]


def small_graph(seed: int) -> Small:
    """The same for the same seed: 4 to 7 forward nodes, and the gradients of all."""
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    count = rng.randint(4, 7)
    reads = [_forward(kind, i, rng) for i in range(count)]
    sizes = [rng.randint(1, 12) for _ in range(count)]
    costs = [rng.randint(1, 8) for _ in range(count)]
    gradient = {count - 1: count - 1}  # the loss stands for its own gradient
    for node in reversed(range(count)):
        users = [j for j in range(count) if node in reads[j]]
        if users:
            found = {gradient[j] for j in users}
            for user in users:
                found.update(reads[user] if rng.random() < 0.8 else ())
                found.update([user] if rng.random() < 0.3 else ())
            gradient[node] = len(reads)
            reads.append(sorted(found))
            sizes.append(sizes[node])
            costs.append(sum(costs[j] for j in users) + rng.randint(0, 2))
    reads.append(sorted({gradient[0], 0}))  # the gradient of the first node's weight
    sizes.append(1)
    costs.append(costs[0])
    return {"kind": kind, "count": count, "reads": reads, "sizes": sizes, "costs": costs}


def _forward(kind: str, node: int, rng: random.Random) -> list[int]:
    """What a forward node reads: always the one before; so every node but the last is used."""
    found = {node - 1} if node else set[int]()
    if kind == "residual" and node >= 2 and node % 2 == 0:
        found.add(node - 2)
    if kind == "dag" and node >= 2 and rng.random() < 0.5:
        found.add(rng.randrange(node - 1))
    return sorted(found)


__all__ = ["KINDS", "Small", "small_graph"]
