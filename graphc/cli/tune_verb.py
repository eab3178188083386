"""graphc tune NET."""

from __future__ import annotations

import sys
from typing import Any

import click

from graphc.cli.nets import keep_option, open_graph
from graphc.cli.options import given, json_option, net_options
from graphc.cli.output import emit_json, note, say


@click.command("tune")
@click.argument("net")
@click.option("--keep", multiple=True, metavar="BLOB", help="A blob to keep, or all (repeatable).")
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads that kernels use."
)
@click.option("--train", is_flag=True, help="Backward as well, in phase TRAIN.")
@click.option("--again", is_flag=True, help="Measure anew what is known already.")
@net_options
@json_option
def command(
    net: str,
    keep: tuple[str, ...],
    threads: int | None,
    train: bool,
    again: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure, for each layer of NET, every kernel that can do it, on this machine.

    The times go to the cache, GRAPHC_CACHE; from then on `compile` and `run` choose kernels and
    formats by them. They hold for this processor, these numbers of threads and these shapes.
    """
    from graphc.tuning import tune

    if train and not given("phase"):
        options["phase"] = "TRAIN"
    graph, _ = open_graph(net, options)

    def progress(done: int, count: int, key: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done + 1} of {count}  {key[:60]:<60}", nl=False, err=True)

    found = tune(
        graph,
        train=train,
        threads=threads,
        keep=keep_option(keep),
        again=again,
        progress=progress,
    )
    if sys.stderr.isatty() and found.times:
        note("")
    if as_json:
        emit_json(
            {
                "measured": len(found.times),
                "known": found.known,
                "threads": found.threads,
                "file": str(found.file),
                "us": found.times,
            }
        )
        return
    say(f"measured {len(found.times)} kernels with {found.threads} threads, {found.known} known")
    say(f"kept in {found.file}")
