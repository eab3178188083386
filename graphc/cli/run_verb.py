"""graphc run [NET] [INPUTS...]."""

from __future__ import annotations

from typing import Any

import click

from graphc.cli.declared import decorated
from graphc.cli.running import OPTIONS, run


class RunCommand(click.Command):
    """`--gpu` alone means the first GPU; what follows it is never its value, only `--gpu=N` is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--gpu=0" if a == "--gpu" else a for a in args])


def _run(arguments: tuple[str, ...], **options: Any) -> None:
    """Run NET, an artefact or a prototxt, on INPUTs; without NET the newest .gcz in this folder.

    Inputs are images, .npy or .npz files. Without any, random numbers are fed, and said so.
    """
    run(arguments, options)


_command = click.command("run", cls=RunCommand)
_arguments = click.argument("arguments", nargs=-1, metavar="[NET] [INPUT]...")
command = _command(_arguments(decorated(_run, OPTIONS)))
