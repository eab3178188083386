"""The verbs, by click. Each one's module is imported when it is called."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

import click

from graphc import __version__
from graphc.errors import GraphError, fail, near

VERBS = {
    "compile": "Compile a network into an artefact (.gcz).",
    "run": "Run a network or artefact on images or arrays.",
    "train": "Train a network as a solver prototxt says.",
    "test": "Score a network on the data it names.",
    "compare": "Compare what two networks compute, layer by layer.",
    "bench": "Time a network against what the machine can do.",
    "check-grad": "Check gradients against finite differences.",
    "plan": "Say how much memory a network takes, and what for.",
    "inspect": "Show layers, shapes and history of a network or artefact.",
    "tune": "Measure kernels here, so that the fastest are chosen.",
    "export": "Write a network as a prototxt and a caffemodel for plain Caffe.",
    "count": "Count multiply-adds, parameters and activations.",
    "channels": "List channels that can only be removed together.",
    "demo": "Train, compile and run a small network, here and now.",
    "ops": "List layer types, or describe one.",
    "data": "Convert data sets, take their mean, show what they hold.",
    "passes": "List passes and their options.",
    "sensitivity": "Say how much each layer of a network can lose to a pass.",
    "explain": "Explain an error code.",
    "doctor": "Say what this installation can do.",
}


class Verbs(click.Group):
    """Finds a verb's module by its name: `run` is graphc.cli.run_verb:command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"graphc.cli.{name.replace('-', '_')}_verb")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            known = f"`graphc --help` lists the verbs: {', '.join(VERBS)}"
            fail("GC-C001", f"no verb {args[0]!r}", near(args[0], VERBS) or known)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    subcommand_metavar="VERB ...",
    options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="graphc", message="%(prog)s %(version)s")
def cli() -> None:
    """Compile, run and inspect Caffe-style networks.

    `graphc VERB --help` lists a verb's options.
    """


def obey(argv: Sequence[str]) -> int:
    """Read the command line, run its verb, and return the exit code. Raises GC-C001, and what the
    verb does."""
    try:
        if "_GRAPHC_COMPLETE" in os.environ:
            cli.main(list(argv), prog_name="graphc")
        with cli.make_context("graphc", list(argv) or ["--help"]) as ctx:
            cli.invoke(ctx)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise _usage_error(error, argv) from None
    return 0


def _usage_error(error: click.ClickException, argv: Sequence[str]) -> GraphError:
    verb = f" {argv[0]}" if argv and argv[0] in VERBS else ""
    hint = f"`graphc{verb} --help` lists the options"
    possible = getattr(error, "possibilities", None)
    if possible:
        hint = f"did you mean {' or '.join(sorted(possible))}?"
    if isinstance(error, click.NoSuchOption):
        return GraphError("GC-C001", f"no option {error.option_name!r}", hint)
    return GraphError("GC-C001", error.format_message().strip().rstrip("."), hint)
