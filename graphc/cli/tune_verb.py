"""graphc tune NET."""

from __future__ import annotations

import sys
from typing import Any

import click

from graphc.cli.gpu import GpuCommand
from graphc.cli.nets import keep_option, open_graph
from graphc.cli.options import given, json_option, net_options
from graphc.cli.output import emit_json, note, say
from graphc.errors import fail


@click.command("tune", cls=GpuCommand)
@click.argument("net")
@click.option("--keep", multiple=True, metavar="BLOB", help="A blob to keep, or all (repeatable).")
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads that kernels use."
)
@click.option("--train", is_flag=True, help="Backward as well, in phase TRAIN.")
@click.option("--again", is_flag=True, help="Measure anew what is known already.")
@click.option(
    "--gpu", type=click.IntRange(0), metavar="[=N]", help="Plans of cuDNN, on a GPU, instead."
)
@net_options
@json_option
def command(
    net: str,
    keep: tuple[str, ...],
    threads: int | None,
    train: bool,
    again: bool,
    gpu: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure, for each layer of NET, every kernel that can do it, on this machine.

    The times go to the cache, GRAPHC_CACHE; from then on `compile` and `run` choose kernels and
    formats by them. They hold for this processor, these numbers of threads and these shapes; with
    --gpu for this GPU, this cuDNN and these shapes.
    """
    from graphc.tuning import tune

    if gpu is not None:
        from graphc.runtime.targets import check_target

        if threads is not None:
            fail("GC-C001", "--gpu and --threads exclude each other", "leave one of them out")
        check_target(f"cuda:{gpu}")
    if train and not given("phase"):
        options["phase"] = "TRAIN"
    graph, _ = open_graph(net, options)

    def progress(done: int, count: int, key: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done + 1} of {count}  {key[:60]:<60}", nl=False, err=True)

    how: dict[str, Any] = {"train": train, "keep": keep_option(keep), "again": again}
    if gpu is None:
        found = tune(graph, threads=threads, progress=progress, **how)
    else:
        from graphc.gpu_tuning import tune_gpu

        found = tune_gpu(graph, number=gpu, progress=progress, **how)
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
    where = f"with {found.threads} threads" if gpu is None else "on the GPU"
    say(f"measured {len(found.times)} kernels {where}, {found.known} known")
    say(f"kept in {found.file}")
