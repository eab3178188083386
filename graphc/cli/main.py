"""graphc: the command line. Verbs are imported when called, so that each starts fast."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from graphc import __version__
from graphc.errors import GraphError

VERBS = {
    "compile": "Compile a network into an artefact (.gcz).",
    "count": "Count multiply-adds, parameters and activations.",
    "doctor": "Say what this installation can do.",
    "explain": "Explain an error code.",
    "inspect": "Show layers, shapes and history of a network or artefact.",
    "ops": "List layer types, or describe one.",
    "passes": "List passes and their options.",
    "run": "Run a network or artefact on images or arrays.",
}


class Verbs(click.Group):
    """Finds a verb's module by its name: `run` is graphc.cli.run:command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"graphc.cli.{name}_verb")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from graphc.ir.graph import near

        if args and not args[0].startswith("-") and args[0] not in VERBS:
            ctx.fail(f"No such command {args[0]!r}. {near(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="graphc")
def cli() -> None:
    """Compile, run and inspect Caffe-style networks."""


def main(args: list[str] | None = None) -> None:
    """Entry point. Exit codes: 0 ok, 1 check failed, 2 usage, 3 bad model, 4 unsupported,
    5 memory, 6 device, 7 I/O, 8 limit, 70 internal, 130 interrupted."""
    argv = sys.argv[1:] if args is None else args
    try:
        cli.main(args=argv, prog_name="graphc", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # the reader of a pipe went away; nothing to say, and nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except GraphError as error:
        _show(error, "--json" in argv)
        sys.exit(error.exit_code)


def _show(error: GraphError, as_json: bool) -> None:
    if as_json:
        from graphc.cli.output import emit_json

        report: dict[str, Any] = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "layer": error.layer,
            "type": error.type_,
            "file": error.loc.file if error.loc else "",
            "line": error.loc.line if error.loc else 0,
        }
        emit_json({"error": report})
    click.echo(f"error: {error}", err=True)
    click.echo(f"  more: graphc explain {error.code}", err=True)
