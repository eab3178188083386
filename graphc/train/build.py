"""training_graph, training_net: a network with gradients and updates, as a solver runs it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from graphc import driver
from graphc.autodiff import differentiate
from graphc.errors import GraphError
from graphc.ir.clone import clone
from graphc.ir.graph import Graph
from graphc.ir.verify import verify
from graphc.mbs import serialize
from graphc.micro_batches import micro_batched
from graphc.ops.fillers import fill_weights
from graphc.plan.wish import Wish
from graphc.runtime.training import TrainingNet
from graphc.train.settings import Settings
from graphc.updates import add_updates

MIXED = "layers that mix samples run on the whole batch"
"""How a graph's note begins that says so."""


def training_graph(
    graph: Graph,
    settings: Settings,
    *,
    needs_loss: bool = True,
    micro_batch: int | None = None,
    mbs: int | None = None,
    kept: Collection[str] | Literal["all"] = (),
) -> Graph:
    """Append gradients of the losses with respect to parameters, and updates (in place; returned).

    Without `needs_loss`, the outputs of a net that has no loss get their gradients from whoever
    runs it. `micro_batch`: samples that layers run on at a time, see `micro_batched`; `mbs`: bytes
    of cache, see `serialize`; `kept`: blobs that are wanted whole. Raises GC-N007 if nothing is
    learned, GC-R002 for both, and what they raise.
    """
    has_loss = any(any(node.loss.values()) for node in graph.forward_nodes())
    if needs_loss and not has_loss:
        hint = "end it with a loss layer, such as SoftmaxWithLoss"
        raise GraphError("GC-N007", "the network has no loss to train on", hint)
    if micro_batch is not None and mbs is not None:
        told = "micro-batches and mini-batch serialization exclude each other"
        raise GraphError("GC-R002", told, "leave one of them out")
    if mbs is not None:
        serialize(graph, mbs, True, kept)
    if micro_batch is not None:
        mixed = micro_batched(graph, micro_batch, kept)
        if mixed:
            graph.notes.append(f"{MIXED}: {', '.join(map(repr, mixed))}")
    differentiate(graph, inputs=False, outputs=not has_loss)
    add_updates(
        graph,
        settings.rule,
        settings.attrs,
        passes=settings.iter_size,
        longest=settings.clip_gradients,
        regularizers=settings.regularizers,
    )
    verify(graph, 1)
    return graph


def training_net(
    graph: Graph,
    settings: Settings,
    *,
    target: str,
    seed: int = 0,
    threads: int | None = None,
    deterministic: bool = False,
    fused_update: bool = True,
    pin_variants: bool = False,
    micro_batch: int | None = None,
    mbs: int | None = None,
    kind: type[TrainingNet] = TrainingNet,
    wish: Wish | None = None,
) -> TrainingNet:
    """The executable of a shaped, expanded graph, which is then its own. `wish`: what its plan is
    asked for; `micro_batch`, `mbs`: as in `training_graph`. Raises GC-X001 for a target that
    cannot do this, GC-M001, GC-M002, and what `training_graph` raises."""
    driver.check_target(target)
    expanded, _ = driver.optimize(graph, ())
    fill_weights(expanded)
    training_graph(expanded, settings, micro_batch=micro_batch, mbs=mbs)
    return kind(
        expanded,
        train=True,
        seed=seed,
        target=target,
        threads=threads,
        deterministic=deterministic,
        fused_update=fused_update,
        pin_variants=pin_variants,
        wish=wish,
    )


def compile_training(
    net: Graph | str | Path,
    *,
    target: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    settings: Settings | None = None,
) -> TrainingNet:
    """A network by path, then in phase TRAIN, or a Graph, which is not changed, ready to train.

    `settings` None: SGD with momentum. Raises what `graphc.compile` and `training_net` raise.
    """
    graph = driver.load(net, phase="TRAIN") if not isinstance(net, Graph) else clone(net)
    return training_net(
        driver.shape(graph, batch=batch),
        settings or Settings(),
        target=target or driver.DEFAULT_TARGET,
        threads=threads,
    )


__all__ = ["compile_training", "training_graph", "training_net"]
