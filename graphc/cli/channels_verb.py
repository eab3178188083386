"""graphc channels NET."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from graphc.channels import Channels, Group, channel_groups
from graphc.cli.nets import open_graph
from graphc.cli.options import json_option, net_options
from graphc.cli.output import emit_json, say, table
from graphc.errors import GraphError, fail
from graphc.files import write_file


@click.command("channels")
@click.argument("net")
@click.option("--dot", type=click.Path(), help="Write the groups as a graph for Graphviz.")
@click.option("--svg", type=click.Path(), help="Draw them, if Graphviz's dot is there.")
@net_options
@json_option
def command(net: str, dot: str | None, svg: str | None, as_json: bool, **options: Any) -> None:
    """List the channels of NET that can only be removed together.

    A group is what `remove_filters` takes channels from: they are filters of the same layers, and
    weights of others read them. What must stay, and why, is said.
    """
    from graphc import driver

    graph, _ = open_graph(net, options)
    graph, _ = driver.optimize(graph, [], measure=False)  # layers in disguise become what they are
    channels = channel_groups(graph)
    if dot is not None:
        write_file(Path(dot), dot_text(channels))
    if svg is not None:
        draw(dot_text(channels), Path(svg))
    if as_json:
        emit_json({"groups": [_described(channels, group) for group in channels.groups]})
        return
    rows = [
        (
            str(at),
            str(len(group.classes)),
            ", ".join(group.layers),
            ", ".join(group.readers) or "-",
            "; ".join(_notes(channels, group)),
        )
        for at, group in enumerate(channels.groups)
    ]
    table(("group", "channels", "filters of", "read by", "notes"), rows, right="group,channels")
    free = [group for group in channels.groups if not group.why]
    going = sum(len(group.classes) for group in free)
    say(f"{going:,} channels in {len(free)} groups may go")


def _described(channels: Channels, group: Group) -> dict[str, Any]:
    return {
        "channels": len(group.classes),
        "layers": list(group.layers),
        "readers": list(group.readers),
        "stays": group.why,
        "notes": list(_notes(channels, group)),
        "axes": [
            {"blob": value.name, "axis": at, "indices": count} for (value, at), count in group.axes
        ],
    }


def _notes(channels: Channels, group: Group) -> Iterator[str]:
    """Why channels stay, or cannot go as they like."""
    axes = {axis for axis, _ in group.axes}
    if group.why:
        yield f"stays: {group.why}"
        return
    for (value, at), count in group.axes:
        if count > 1:
            yield f"each is {count} indices of axis {at} of {value.name!r}"
            break
    blocks = {(n.name, groups): None for n, axis, groups in channels.balances if axis in axes}
    for name, count in blocks:
        yield f"the {count} groups of {name!r} must stay equal"
    for node, axis in channels.ordered:
        if axis in axes:
            yield f"{node.op.type} {node.name!r} looks at neighbours"


def dot_text(channels: Channels) -> str:
    """Layers and groups as a directed graph in Graphviz's language."""
    lines = ["digraph channels {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for at, group in enumerate(channels.groups):
        style = ', style=filled, fillcolor="#dddddd"' if group.why else ""
        lines.append(f'  g{at} [shape=ellipse, label="{len(group.classes)} channels"{style}];')
        lines += [f"  {_quoted(layer)} -> g{at};" for layer in group.layers]
        lines += [f"  g{at} -> {_quoted(reader)};" for reader in group.readers]
    return "\n".join([*lines, "}", ""])


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def draw(text: str, path: Path) -> None:
    """Let Graphviz draw it. Raises GC-C001 without Graphviz, GC-F002."""
    program = shutil.which("dot")
    if program is None:
        fail(
            "GC-C001", "--svg needs Graphviz's dot, which is not there", "--dot FILE needs nothing"
        )
    try:
        made = subprocess.run(
            [program, "-Tsvg"], input=text.encode(), capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise GraphError("GC-F002", f"dot could not draw {str(path)!r}: {error}") from None
    write_file(path, made.stdout.decode())
