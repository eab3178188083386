"""graphc run [NET] [INPUTS...]."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.declared import decorated
from graphc.cli.gpu import GpuCommand
from graphc.cli.running import OPTIONS, run


def _run(arguments: tuple[str, ...], **options: Any) -> None:
    """Run NET, an artefact or a prototxt, on INPUTs; without NET the newest .gcz in this folder.

    Inputs are images, .npy or .npz files. Without any, random numbers are fed, and said so.
    """
    run(arguments, options)


_command = click.command("run", cls=GpuCommand)
_arguments = click.argument("arguments", nargs=-1, metavar="[NET] [INPUT]...")
command = _command(_arguments(decorated(_run, OPTIONS)))
