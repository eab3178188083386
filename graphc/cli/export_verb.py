"""graphc export NET."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.nets import open_graph
from graphc.cli.options import allow_extensions_option, json_option, net_options
from graphc.cli.output import emit_json, say, size_text


@click.command("export")
@click.argument("net")
@click.option("-o", "output", metavar="PREFIX", required=True, help="What both names start with.")
@click.option(
    "--modes",
    is_flag=True,
    help="Keep conv_mode and gemm_mode, the layouts of weights, which plain Caffe refuses.",
)
@allow_extensions_option
@net_options
@json_option
def command(
    net: str, output: str, modes: bool, allow_extensions: bool, as_json: bool, **options: Any
) -> None:
    """Write NET, an artefact with what passes made of it or a prototxt, as PREFIX.prototxt and
    PREFIX.caffemodel."""
    from graphc.exporting import export

    graph, _ = open_graph(net, options)
    read = (net, options["weights"])
    files = export(graph, output, modes=modes, allow_extensions=allow_extensions, spare=read)
    if as_json:
        emit_json({"files": [str(path) for path in files]})
        return
    for path in files:
        say(f"wrote {path} ({size_text(path.stat().st_size)})")
