"""export: a network as a prototxt and a caffemodel, in the form that plain Caffe reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from graphc import driver
from graphc.errors import fail
from graphc.files import write_file
from graphc.ir.graph import Graph


def export(
    net: Graph | str | Path, prefix: str | Path, *, modes: bool = False, **options: Any
) -> tuple[Path, Path]:
    """Write PREFIX.prototxt and PREFIX.caffemodel; returns both paths.

    `net`: a Graph, or a path with the options of `graphc.load`. `modes`: keep `conv_mode` and
    `gemm_mode`, the layouts of weights, which are fields of forks and change no result. Raises
    GC-F002 where it cannot write, GC-U001 for more weights than a caffemodel can hold, and what
    `load` raises.
    """
    from graphc.front.caffemodel_writer import write_caffemodel
    from graphc.front.export import to_prototxt

    graph = net if isinstance(net, Graph) else driver.load(net, **options)
    driver.shape(graph)
    base = os.fspath(prefix)
    if not Path(base).parent.is_dir():
        fail("GC-F002", f"cannot write {base!r}: no folder {str(Path(base).parent)!r}")
    text, weights = Path(f"{base}.prototxt"), Path(f"{base}.caffemodel")
    printed = to_prototxt(graph, modes=modes)
    write_caffemodel(graph, weights)
    write_file(text, printed)
    return text, weights


__all__ = ["export"]
