"""training_graph, training_net: a network with gradients and updates, as a solver runs it."""

from __future__ import annotations

from pathlib import Path

from graphc import driver
from graphc.autodiff import differentiate
from graphc.errors import GraphError
from graphc.ir.clone import clone
from graphc.ir.graph import Graph
from graphc.ir.verify import verify
from graphc.ops.fillers import fill_weights
from graphc.runtime.training import TrainingNet
from graphc.train.settings import Settings
from graphc.updates import add_updates


def training_graph(graph: Graph, settings: Settings, *, needs_loss: bool = True) -> Graph:
    """Append gradients of the losses with respect to parameters, and updates (in place; returned).

    Without `needs_loss`, the outputs of a net that has no loss get their gradients from whoever
    runs it. Raises GC-N007 if nothing is learned.
    """
    has_loss = any(any(node.loss.values()) for node in graph.forward_nodes())
    if needs_loss and not has_loss:
        hint = "end it with a loss layer, such as SoftmaxWithLoss"
        raise GraphError("GC-N007", "the network has no loss to train on", hint)
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
    kind: type[TrainingNet] = TrainingNet,
    memory: int | None = None,
    host: int = 0,
) -> TrainingNet:
    """The executable of a shaped, expanded graph, which is then its own. `memory`: bytes that its
    plan must not exceed, `host`: those that it may have on the host. Raises GC-X001 for a target
    that cannot do this, GC-M001, GC-M002, and what `training_graph` raises."""
    driver.check_target(target, memory)
    expanded, _ = driver.optimize(graph, ())
    fill_weights(expanded)
    training_graph(expanded, settings)
    return kind(
        expanded,
        train=True,
        seed=seed,
        target=target,
        threads=threads,
        deterministic=deterministic,
        fused_update=fused_update,
        memory=memory,
        host=host,
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
