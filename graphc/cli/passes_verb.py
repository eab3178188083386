"""graphc passes."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

import click

from graphc.cli.options import json_option
from graphc.cli.output import emit_json, table


@click.command("passes")
@click.option(
    "--passes",
    "specs",
    multiple=True,
    metavar="FILE.py:CLASS",
    help="A pass of your own to list as well (repeatable).",
)
@json_option
def command(specs: tuple[str, ...], as_json: bool) -> None:
    """List passes, what they do, and their options.

    By default `expand` runs always, the default passes unless others are named or --train is
    given.
    """
    from graphc.passes.expand import Expand
    from graphc.passes.registry import DEFAULT, all_passes, load_user_pass

    own = [load_user_pass(spec) for spec in specs]
    entries: list[dict[str, Any]] = []
    for cls in (*all_passes().values(), *own):
        runs = "always" if cls is Expand else "default" if cls.name in DEFAULT else "asked"
        entries.append(
            {
                "name": cls.name,
                "exact": cls.exact,
                "runs": runs,
                "options": {k: _default(v) for k, v in cls.defaults().items()},
                "what": (cls.__doc__ or "").strip().partition("\n")[0],
                "file": cls.origin,
            }
        )
    if as_json:
        emit_json({"passes": entries})
        return
    table(
        ("pass", "kind", "runs", "options", "what it does"),
        [
            (
                e["name"],
                "exact" if e["exact"] else "lossy",
                e["runs"],
                " ".join(f"{k}={v}" for k, v in e["options"].items()) or "-",
                e["what"],
            )
            for e in entries
        ],
    )


def _default(value: Any) -> Any:
    """A default JSON can hold; None where an option must be given."""
    if value is MISSING:
        return None
    return value if isinstance(value, (int, float, str, bool)) else str(value)
