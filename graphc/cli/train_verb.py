"""graphc train."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphc.cli.gpu import GpuCommand
from graphc.cli.inputs import print_notes
from graphc.cli.nets import parse_overrides, use_ops
from graphc.cli.options import (
    choose_gpu,
    gpu_option,
    host_option,
    json_option,
    mbs_option,
    memory_option,
    micro_batch_option,
    ops_option,
    override_option,
    pin_option,
    policy_option,
    set_option,
    target_option,
    threads_option,
)
from graphc.cli.output import emit_json, note, note_budget, say
from graphc.errors import GraphError, fail
from graphc.report.text import duration_text, number_text, rate_text, size_text

if TYPE_CHECKING:
    from graphc.train.solver import Solver

IO, INTERRUPTED = 7, 130


@click.command("train", cls=GpuCommand)
@click.argument("solver", required=False)
@click.option("--solver", "named", metavar="FILE", help="The solver prototxt.")
@click.option(
    "-w",
    "--weights",
    metavar="FILE",
    help="Weights to start from; several, with commas between, one after the other.",
)
@click.option(
    "--resume",
    metavar="FILE",
    help="Go on from a snapshot's .solverstate, ours or Caffe's.",
)
@click.option("--log", metavar="FILE.csv", help="Write a row per iteration; resumed runs go on.")
@click.option("--html", metavar="FILE.html", help="Write the curves as one page.")
@click.option("--deterministic", is_flag=True, help="The same bits with any number of threads.")
@memory_option
@host_option
@micro_batch_option
@mbs_option
@policy_option
@override_option
@click.option("--recipe", metavar="R.toml", help="Of its [[memory]]: what to keep, and to replay.")
@pin_option
@set_option
@target_option
@gpu_option
@threads_option
@ops_option
@json_option
def command(
    solver: str | None,
    named: str | None,
    weights: str | None,
    resume: str | None,
    log: str | None,
    html: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network as a solver prototxt says, with its tests, displays and snapshots.

    Ctrl-C stops after the iteration and writes a snapshot, SIGHUP writes one and goes on. Training
    goes on from a snapshot to the bit, with --resume, if its .gck lies beside its .solverstate.

    --set changes fields of the solver, as base_lr=0.1, and with net. in front those of its
    networks, as net.layer[mnist@TRAIN].data_param.source=my_lmdb.

    The exit code is 130 after Ctrl-C, 7 if the last snapshot could not be written.
    """
    if (solver is None) == (named is None):
        told = "a solver is given twice" if named else "there is no solver"
        fail("GC-C001", told, "graphc train --solver solver.prototxt")
    if weights is not None and resume is not None:
        fail("GC-C001", "--weights and --resume exclude each other", "a snapshot has weights")
    choose_gpu(options)
    use_ops(options["ops_files"])
    note_budget(options["memory"], options["host"])
    opened = _open(solver or named or "", weights, resume, options)
    with ExitStack() as stack:
        stack.callback(opened.close)
        found, finished = _trained(opened, stack, log, html, resume is not None)
    emit_json(found) if as_json else _tell(found)
    if found["lost"]:
        click.get_current_context().exit(IO)
    if not finished:
        click.get_current_context().exit(INTERRUPTED)


def _open(path: str, weights: str | None, resume: str | None, options: dict[str, Any]) -> Solver:
    from graphc import driver
    from graphc.train.solver import Solver

    how: dict[str, Any] = {
        "target": options["target"] or driver.DEFAULT_TARGET,
        "threads": options["threads"],
        "deterministic": options["deterministic"],
        "set": options["set"],
        "memory": options["memory"],
        "host": options["host"],
        "policy": options["policy"],
        "overrides": parse_overrides(options["override_specs"], options["recipe"]),
        "pin_variants": options["pin_variants"],
        "micro_batch": options["micro_batch"],
        "mbs": options["mbs"],
    }
    if resume is not None:
        return Solver.resume(resume, path, **how)
    return Solver(path, weights, **how)


def _trained(
    solver: Solver, stack: ExitStack, log: str | None, html: str | None, resumed: bool
) -> tuple[dict[str, Any], bool]:
    from graphc.cli.signals import Requests
    from graphc.report.csv_log import CsvLog
    from graphc.report.history import History
    from graphc.report.memory import peak_rss
    from graphc.report.progress import Progress
    from graphc.train.build import MIXED
    from graphc.train.events import Event, Snapshot, SnapshotFailed, Tick

    print_notes(solver.graph, False)
    for remark in solver.net.graph.notes:
        if remark.startswith(MIXED):
            note(f"note: {remark}")
    settings, start = solver.settings, solver.iter
    planned = solver.memory_bytes if solver.net.target != "reference" else None
    history = History()
    if html is not None and log is not None and resumed and Path(log).exists():
        history.load(Path(log), start)
    shown = stack.enter_context(Progress(settings.max_iter, start=start, planned=planned))
    listeners: list[Any] = [shown, history]
    if log is not None:
        listeners.append(csv := CsvLog(log, start=start))
        stack.callback(lambda: csv.close() if csv in listeners else None)
    events: list[tuple[Any, ...]] = []
    snapshots: list[str] = []
    lost = False

    def listen(event: Event) -> None:
        for each in tuple(listeners):
            try:
                each(event)
            except GraphError as error:  # a full disk is no reason to lose what was learned
                if error.code != "GC-F002":
                    raise
                listeners.remove(each)
                with suppress(GraphError, OSError):
                    each.close()
                shown.say(f"the log ends here: {error}")
        if not isinstance(event, Tick):
            events.append(event.tuple())
        nonlocal lost
        if isinstance(event, Snapshot):
            snapshots.append(event.file)
        if isinstance(event, (Snapshot, SnapshotFailed)):
            lost = isinstance(event, SnapshotFailed)

    began = time.perf_counter()
    try:
        with Requests(shown.say) as requests:
            finished = solver.solve(listen, requests)
    finally:
        if html is not None:
            _write_page(html, solver, history, planned)
    seconds = time.perf_counter() - began
    found = {
        "iter": solver.iter,
        "iterations": solver.iter - start,
        "loss": solver.loss,
        "smoothed_loss": solver.smoothed.value,
        "seconds": seconds,
        "images": history.images,
        "images_per_second": history.images / history.seconds if history.seconds else 0.0,
        "finished": finished,
        "snapshot": snapshots[-1] if snapshots else None,
        "lost": lost,
        "plan": {"peak_bytes": planned},
        "peak_rss_bytes": peak_rss(),
        "events": events,
    }
    return found, finished


def _write_page(path: str, solver: Solver, history: Any, planned: int | None) -> None:
    from graphc.report import curves
    from graphc.report.memory import peak_rss

    sizes = {"memory planned": planned, "memory of the process": peak_rss()}
    curves.write(
        path,
        history,
        title=f"{solver.graph.name or solver.settings.net.net.stem}: {solver.iter:,} iterations",
        settings=solver.settings.told(),
        figures={name: size_text(size) for name, size in sizes.items() if size is not None},
    )


def _tell(found: dict[str, Any]) -> None:
    speed = rate_text(found["images_per_second"])
    done = f"{found['iterations']:,} iterations in {duration_text(found['seconds'])}"
    say(f"{done}, {speed} img/s; loss {number_text(found['smoothed_loss'])}")
    planned, used = found["plan"]["peak_bytes"], found["peak_rss_bytes"]
    if planned is not None and used is not None:
        say(f"memory: {size_text(planned)} planned, {size_text(used)} used by the process")
    if found["snapshot"]:
        say(f"weights: {found['snapshot']}")
    if found["lost"]:
        note("the last snapshot could not be written, see above")
    if not found["finished"]:
        note("stopped before max_iter; --resume goes on")


__all__ = ["command"]
