"""graphc: the command line. Verbs are imported when called, so that each starts fast."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from graphc import __version__
from graphc.config import Config
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
    "tune": "Measure kernels on this machine, so that the fastest are chosen.",
    "count": "Count multiply-adds, parameters and activations.",
    "demo": "Train, compile and run a small network, here and now.",
    "ops": "List layer types, or describe one.",
    "data": "Convert data sets, take their mean, show what they hold.",
    "passes": "List passes and their options.",
    "explain": "Explain an error code.",
    "doctor": "Say what this installation can do.",
}
SELDOM = 100_000
"""Objects made before garbage is looked for: modules and networks, which stay, are made of many,
and looking through them every 700 takes a while."""


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


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Obey the command line, tell what went wrong, leave with an exit code.

    0 ok, 1 check failed, 2 usage, 3 bad model, 4 unsupported, 5 memory, 6 device, 7 I/O, 8 limit,
    70 internal, 130 interrupted.
    """
    argv = list(sys.argv[1:] if args is None else args)
    _prepare_streams()
    try:
        status = invoke(argv)
    except BrokenPipeError:  # the reader of the pipe has seen enough
        _abandon_stdout()
        status = 0
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        status = 130
    except GraphError as error:
        status = error.exit_code
        with suppress(OSError):
            _show(error, "--json" in argv)
    sys.exit(status)


def run() -> NoReturn:
    """The process: `main`, then an end without taking apart modules, networks and kernels, which
    takes longer than many a run."""
    gc.set_threshold(SELDOM)
    try:
        main()
    except SystemExit as done:
        if not isinstance(done.code, int) or threading.active_count() > 1 or _has_guests():
            raise
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # full, or closed
                stream.flush()
        os._exit(done.code)


def _has_guests() -> bool:
    """Is there code of others, layers, passes or plug-ins, that may have left files open?"""
    own = (name for name in sys.modules if name.startswith("graphc_user_"))
    return "importlib.metadata" in sys.modules or any(own)


def invoke(argv: Sequence[str]) -> int:
    """Run one verb and return its exit code; whatever fails is a GraphError.

    Not turned into one: KeyboardInterrupt, and BrokenPipeError where stdout's reader is gone.
    """
    try:
        Config.load()
        if "_GRAPHC_COMPLETE" in os.environ:
            cli.main(list(argv), prog_name="graphc")
        with cli.make_context("graphc", list(argv) or ["--help"]) as ctx:
            cli.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        sys.stdout.flush()
        return done.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise _usage_error(error, argv) from None
    except MemoryError:
        raise GraphError("GC-M002", "out of memory", "use a smaller batch or input") from None
    except (GraphError, BrokenPipeError):
        raise
    except OSError as error:
        if error.filename is not None:
            raise _unexpected(error) from error
        _abandon_stdout()  # no file has a part in it: it is stdout that cannot be written
        raise GraphError("GC-F002", f"cannot write the output: {error.strerror}") from error
    except Exception as error:
        raise _unexpected(error) from error
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


def _unexpected(error: Exception) -> GraphError:
    told = f"{type(error).__name__}: {error}".splitlines()[0]
    hint = "this is a mistake in graphc; please report it with the command and GRAPHC_DEBUG=1"
    return GraphError("GC-C002", f"unexpected {told}", hint)


def _prepare_streams() -> None:
    """A stream the caller has closed leads nowhere; the others spell what they cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon_stdout() -> None:
    """Point stdout at nothing, so that the flush at exit does not fail once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(error: GraphError, as_json: bool) -> None:
    from graphc.cli.output import emit_json, note

    if as_json:
        report: dict[str, Any] = {
            "code": error.code,
            "exit": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "layer": error.layer,
            "type": error.type_,
            "file": error.loc.file if error.loc else "",
            "line": error.loc.line if error.loc else 0,
        }
        emit_json({"error": report})
    if os.environ.get("GRAPHC_DEBUG") and error.code != "GC-R004" and Config.load().debug:
        import traceback

        traceback.print_exception(error)
    note(str(error))
    note(f"  more: graphc explain {error.code}")
