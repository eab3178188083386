"""load: a network's files -> Graph; and shapes, fillers, copies."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.errors import fail
from graphc.ir.clone import clone, forward_part
from graphc.ir.graph import Graph
from graphc.ir.types import Phase
from graphc.limits import Limits
from graphc.ops.fillers import filler

if TYPE_CHECKING:
    from graphc.front.overrides import NetOverrides, Overrides
    from graphc.ir.infer import Shapes

SEED = 1
NO_WEIGHTS = "no weights given"


def load(
    net: str | Path,
    weights: str | Path | None = None,
    *,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    shapes: Shapes | None = None,
    batch: int | None = None,
    strict: bool = True,
    limits: Limits | None = None,
    dialect: str = "auto",
    seed: int = SEED,
    set: Overrides | NetOverrides = (),
) -> Graph:
    """Read a network and, if given, its weights.

    `net`: path of a prototxt (or binary NetParameter). `shapes` maps net inputs and tops of data
    layers to shapes; data sources are never opened here, so a net that needs one to know its
    shapes stays unshaped until compiled or inspected. Without `weights`, parameters start from
    the fillers with `seed`. `strict`: every layer with parameters must be in the weight file.
    `set`: path -> value of fields to change, {"layer[conv1].convolution_param.num_output": 8}.
    Raises GraphError: GC-F001, GC-P00x, GC-N00x, GC-S00x, GC-W00x, GC-L001, GC-R002, GC-R004.
    """
    from graphc.front import read_net
    from graphc.front.weights import load_weights

    if phase not in ("TRAIN", "TEST"):
        fail("GC-R002", f"phase is {phase!r}, expected 'TRAIN' or 'TEST'")
    graph = read_net(
        path_of(net),
        phase=phase,
        level=level,
        stages=(stages,) if isinstance(stages, str) else tuple(stages),
        limits=limits,
        dialect=dialect,
        set=set,
    )
    prepare(graph, shapes, batch, seed)
    if weights is not None:
        report = load_weights(graph, path_of(weights), strict=strict)
        graph.notes.append(str(report))
    elif not graph.pending and not graph.weights and (graph.param_values() or not graph.shaped):
        graph.notes.append(f"{NO_WEIGHTS}: parameters come from the fillers, seed {seed}")
    return graph


def path_of(given: object) -> Path:
    if not isinstance(given, (str, PathLike)):
        fail("GC-R002", f"a {type(given).__name__} is given where a path is needed")
    return Path(given)


def prepare(
    graph: Graph, shapes: Shapes | None = None, batch: int | None = None, seed: int = SEED
) -> Graph:
    """Give a graph fresh from the front end its fillers, and, where none needs a source, shapes."""
    from graphc.ir.infer import infer

    graph.fill = filler(seed)
    infer(graph, shapes, batch, sources=False)
    return graph


def shape(graph: Graph, shapes: Shapes | None = None, batch: int | None = None) -> Graph:
    """Infer what is still unknown, opening data sources where needed; returns the graph."""
    if shapes or batch is not None or not graph.shaped:
        from graphc.ir.infer import infer  # which artefacts do without

        infer(graph, shapes, batch)
    return graph


def own(net: Graph | str | Path, **words: Any) -> Graph:
    """An independent copy, without gradient nodes; or what `load` makes of a file and `words`."""
    if not isinstance(net, Graph):
        return load(net, **words)
    if words["set"]:
        fail("GC-R002", "set= changes what a file says; this is a Graph", "give a path instead")
    return clone(forward_part(net) if net.seeds or net.grads else net)


__all__ = ["NO_WEIGHTS", "SEED", "load", "own", "path_of", "prepare", "shape"]
