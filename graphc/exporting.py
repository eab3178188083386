"""export: a network as a prototxt and a caffemodel, in the form that plain Caffe reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphc import driver
from graphc.errors import GraphError, fail
from graphc.files import write_file
from graphc.ir.graph import Graph
from graphc.ops.registry import is_stock


def export(
    net: Graph | str | Path,
    prefix: str | Path,
    *,
    modes: bool = False,
    allow_extensions: bool = False,
    spare: Iterable[str | Path | None] = (),
    **options: Any,
) -> tuple[Path, Path]:
    """Write PREFIX.prototxt and PREFIX.caffemodel; returns both paths. Either may be given whole.

    `net`: a Graph, or a path with the options of `graphc.load`. `modes`: keep `conv_mode` and
    `gemm_mode`, the layouts of weights, which are fields of forks and change no result.
    `allow_extensions`: layers of types that BVLC's Caffe lacks are written as they are, too.
    `spare`: files that must stay, as those that were read do. Raises GC-U001 for such a layer
    without that, and for more weights than a caffemodel can hold, GC-F002 where it cannot or must
    not write, and what `load` raises.
    """
    from graphc.front.caffemodel_writer import write_caffemodel
    from graphc.front.export import to_prototxt

    graph = net if isinstance(net, Graph) else driver.load(net, **options)
    driver.shape(graph)
    base = os.fspath(prefix)
    for suffix in (".prototxt", ".caffemodel"):
        base = base.removesuffix(suffix)
    if not Path(base).parent.is_dir():
        fail("GC-F002", f"cannot write {base!r}: no folder {str(Path(base).parent)!r}")
    if not allow_extensions:
        _check_stock(graph)
    text, weights = Path(f"{base}.prototxt"), Path(f"{base}.caffemodel")
    read = () if isinstance(net, Graph) else (net, options.get("weights"))
    _check_spared((text, weights), (*spare, *read))
    printed = to_prototxt(graph, modes=modes)
    write_caffemodel(graph, weights)
    write_file(text, printed)
    return text, weights


def _check_spared(made: Iterable[Path], spare: Iterable[str | Path | None]) -> None:
    """Raise GC-F002 for a file that would be written over one that was read."""
    kept = {Path(each).resolve() for each in spare if each is not None}
    for path in made:
        if path.resolve() in kept:
            fail("GC-F002", f"cannot write {str(path)!r}: it was read", "take another name")


def _check_stock(graph: Graph) -> None:
    """Raise GC-U001 for a layer of a type that BVLC's Caffe lacks."""
    for node in graph.forward_nodes():
        if not is_stock(node.op):
            told = "plain Caffe lacks this type"
            hint = "export what `graphc compile` made: expand, which always runs, and merge_gates "
            hint += "make stock layers of some; --allow-extensions writes it as it is"
            raise node.located(GraphError("GC-U001", told, hint))


__all__ = ["export"]
