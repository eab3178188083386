"""graphc passes."""

from __future__ import annotations

import click

from graphc.cli.options import json_option
from graphc.cli.output import emit_json, table


@click.command("passes")
@json_option
def command(as_json: bool) -> None:
    """List passes, what they do, and their options."""
    from graphc.passes.registry import DEFAULT, all_passes

    rows = []
    for name, cls in all_passes().items():
        what = (cls.__doc__ or "").strip().splitlines()[0]
        rows.append((name, cls.exact, name in DEFAULT, cls.defaults(), what))
    if as_json:
        keys = ("name", "exact", "default", "options", "what")
        emit_json({"passes": [dict(zip(keys, row, strict=True)) for row in rows]})
        return
    table(
        ("pass", "kind", "default", "options", "what it does"),
        [
            (
                name,
                "exact" if exact else "lossy",
                "yes" if default else "no",
                " ".join(f"{k}={v}" for k, v in options.items()) or "-",
                what,
            )
            for name, exact, default, options, what in rows
        ],
    )
