"""graphc test."""

from __future__ import annotations

import time
from typing import Any

import click

from graphc.cli.gpu import GpuCommand
from graphc.cli.inputs import print_notes
from graphc.cli.nets import load_net
from graphc.cli.options import (
    choose_gpu,
    gpu_option,
    json_option,
    net_options,
    target_option,
    threads_option,
)
from graphc.cli.output import emit_json, say
from graphc.report.text import number_text


@click.command("test", cls=GpuCommand)
@click.argument("net")
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Batches to take the mean of.",
)
@click.option("--quiet", is_flag=True, help="Only the means.")
@target_option
@gpu_option
@threads_option
@net_options
@json_option
def command(net: str, iterations: int, quiet: bool, as_json: bool, **options: Any) -> None:
    """Score NET, in phase TEST, on batches that its data layers read: means of its outputs.

    With accuracy, loss and the like as outputs, as Caffe's `caffe test`. No images of the network's
    own are fed: see `graphc run`.
    """
    from graphc import driver
    from graphc.report.progress import Progress
    from graphc.train.events import Event
    from graphc.train.testing import mean_outputs

    choose_gpu(options)
    graph = load_net(net, options)
    print_notes(graph, False)
    exe = driver.compile(graph, target=options["target"], threads=options["threads"])
    events: list[tuple[Any, ...]] = []
    began = time.perf_counter()
    with exe, Progress(iterations) as shown:

        def listen(event: Event) -> None:
            events.append(event.tuple())
            if not (quiet or as_json):
                shown(event)

        means, loss = mean_outputs(exe, iterations, listen=listen)
    found = {
        "outputs": {name: mean.tolist() for name, mean in means.items()},
        "loss": loss,
        "iterations": iterations,
        "seconds": time.perf_counter() - began,
        "events": events,
    }
    if as_json:
        emit_json(found)
        return
    for name, mean in means.items():
        say(f"{name} = {', '.join(number_text(float(value)) for value in mean.ravel())}")
    if sum(any(node.loss.values()) for node in exe.graph.forward_nodes()) > 1:
        say(f"total loss = {number_text(loss)}")


__all__ = ["command"]
