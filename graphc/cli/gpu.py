"""GpuCommand: a verb with --gpu, which means target cuda."""

from __future__ import annotations

import click


class GpuCommand(click.Command):
    """`--gpu` alone means the first GPU; what follows it is never its value, only `--gpu=N` is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--gpu=0" if a == "--gpu" else a for a in args])


__all__ = ["GpuCommand"]
