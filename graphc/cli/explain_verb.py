"""graphc explain CODE."""

from __future__ import annotations

import click

from graphc.cli.options import json_option
from graphc.cli.output import emit_json, say, table
from graphc.codes import CODES
from graphc.errors import fail, near


@click.command("explain")
@click.argument("code", required=False)
@json_option
def command(code: str | None, as_json: bool) -> None:
    """Say what an error code means and what to do; without CODE, list all."""
    if code is None:
        if as_json:
            emit_json({c: {"title": d.title, "exit": d.exit_code} for c, d in CODES.items()})
        else:
            rows = [(c, d.exit_code, d.title) for c, d in CODES.items()]
            table(("code", "exit", "meaning"), rows, right="exit")
        return
    key = code.upper() if code.upper() in CODES else f"GC-{code.upper()}"
    if key not in CODES:
        hint = near(code.upper(), CODES) or "`graphc explain` lists all"
        fail("GC-R002", f"no error code {code!r}", hint)
    entry = CODES[key]
    if as_json:
        emit_json(
            {
                "code": key,
                "exit": entry.exit_code,
                "title": entry.title,
                "cause": entry.cause,
                "cure": entry.cure,
            }
        )
        return
    say(f"{key}: {entry.title} (exit code {entry.exit_code})\n\n{entry.cause}\n\n{entry.cure}")
