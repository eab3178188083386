"""graphc: the command line. Verbs are imported when called, so that each starts fast."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from graphc.config import Config
from graphc.errors import GraphError

SELDOM = 100_000
"""Objects made before garbage is looked for: modules and networks, which stay, are made of many,
and looking through them every 700 takes a while."""


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
        from graphc.cli.output import note

        note("interrupted")
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
        status = 0 if _is_plain_run(argv) else _obey(argv)
        sys.stdout.flush()
        return status
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


def _is_plain_run(argv: Sequence[str]) -> bool:
    """Run a network, if the command line is plain enough to be read without click."""
    if list(argv[:1]) != ["run"] or "_GRAPHC_COMPLETE" in os.environ:
        return False
    from graphc.cli.running import run_plain

    return run_plain(argv[1:])


def _obey(argv: Sequence[str]) -> int:
    from graphc.cli.verbs import obey

    return obey(argv)


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
