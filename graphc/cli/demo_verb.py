"""graphc demo."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphc.cli.gpu import GpuCommand
from graphc.cli.options import choose_gpu, gpu_option, json_option
from graphc.cli.output import emit_json, say, size_text, strong

if TYPE_CHECKING:
    from graphc.demonstration.demo import Demo


@click.command("demo", cls=GpuCommand)
@click.option(
    "--out",
    "folder",
    default="graphc-demo",
    show_default=True,
    metavar="DIR",
    help="Folder for what it makes.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**31 - 1),
    default=1,
    show_default=True,
    metavar="N",
    help="Which digits are held out, and how it all begins.",
)
@gpu_option
@json_option
def command(folder: str, seed: int, gpu: int | None, as_json: bool) -> None:
    """Train a small network on handwritten digits, compile it, and run it on digits it has not
    seen.

    It takes seconds and downloads nothing: the digits come with scikit-learn, which `pip install
    'graphc[demo]'` brings. The network, its weights and the artefact stay in DIR, to go on with.
    """
    from graphc.demonstration.demo import demo
    from graphc.demonstration.network import ITERATIONS
    from graphc.report.progress import Progress

    options: dict[str, Any] = {"gpu": gpu, "target": None}
    choose_gpu(options)
    with Progress(ITERATIONS) as progress:
        found = demo(folder, seed=seed, listeners=(progress,), target=options["target"])
    emit_json(describe(found)) if as_json else tell(found)


def describe(found: Demo) -> dict[str, Any]:
    """What was done, as one JSON-ready object; sizes in bytes."""
    from graphc.demonstration.demo import FILES

    return {
        "folder": str(found.folder),
        "files": {name: str(found.folder / name) for name in FILES},
        "trained": found.trained,
        "held_out": len(found.labels),
        "accuracy": found.accuracy,
        "iterations": found.iterations,
        "loss": {"first": found.losses[0], "last": found.losses[1]},
        "images_per_second": found.images_per_second,
        "us_per_image": found.us_per_image,
        "passes": [
            {"name": r.name, "changed": r.changed, "detail": list(r.detail)} for r in found.passes
        ],
        "plan": {"train_bytes": found.train_bytes, "run_bytes": found.run_bytes},
        "peak_rss": found.peak_rss,
        "seconds": found.seconds,
        "next": _next(found.folder),
    }


def tell(found: Demo) -> None:
    """What was done, some digits, and what can be done next."""
    from graphc.cli.digits import draw
    from graphc.demonstration.demo import FILES

    held_out = len(found.labels)
    right = int((found.predictions == found.labels).sum())
    changed = [f"{r.name}: {'; '.join(r.detail)}" for r in found.passes if r.changed]
    used = "" if found.peak_rss is None else f"; the process took {size_text(found.peak_rss)}"
    lines = {
        "digits": f"{found.trained + held_out:,}, 8 x 8 pixels each: {found.trained:,} to learn "
        f"from, {held_out} held out",
        "trained": f"{found.iterations} iterations, loss {found.losses[0]:.3g} to "
        f"{found.losses[1]:.3g}, {found.images_per_second:,.0f} images/s",
        "compiled": changed[0] if changed else "as it is",
        **{f"{'':{n}}": line for n, line in enumerate(changed[1:], 1)},
        "memory": f"{size_text(found.train_bytes)} planned to train, "
        f"{size_text(found.run_bytes)} to run{used}",
        "accuracy": strong(f"{found.accuracy:.1%}")
        + f": {right} of {held_out} digits right, {found.us_per_image:.0f} us each",
    }
    say("")
    for title, text in lines.items():
        click.echo(f"{title:<10}{text}")
    say("")
    for line in draw(found.images, found.labels, found.predictions):
        click.echo(line)
    say(f"\nin {shlex.quote(str(found.folder))}:")
    for name, what in FILES.items():
        say(f"  {name:<18} {what}")
    say(f"\n{found.seconds:.1f} s; go on with")
    for text in _next(found.folder):
        say(f"  {text}")


def _next(folder: Path) -> list[str]:
    """Commands for what is in the folder."""
    graphc = shlex.quote(_program())
    net, solver, artefact, digits = (
        shlex.quote(str(folder / name))
        for name in ("net.prototxt", "solver.prototxt", "digits.gcz", "digits.npy")
    )
    return [
        f"{graphc} run {artefact} {digits} --top 1",
        f"{graphc} inspect {artefact}",
        f"{graphc} bench {artefact}",
        f"{graphc} plan {net} --train --solver {solver}",
    ]


def _program() -> str:
    """How the user has called graphc, where that is by a path and the shell finds no other."""
    called = sys.argv[0]
    is_path = Path(called).name == "graphc" and "/" in called
    return called if is_path and shutil.which("graphc") is None else "graphc"


__all__ = ["command", "describe", "tell"]
