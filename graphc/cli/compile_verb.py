"""graphc compile NET."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from graphc.cli.options import json_option, load_net, net_options
from graphc.cli.output import emit_json, note, shape_text
from graphc.driver import PassLike


@click.command("compile")
@click.argument("net")
@net_options
@click.option("-o", "--output", help="Artefact to write; default: NET's folder name or stem.gcz.")
@click.option("--recipe", help="TOML file with a list of passes, run in place of the default.")
@click.option(
    "--pass",
    "pass_specs",
    multiple=True,
    metavar="NAME[:k=v,..]",
    help="A pass to run, in order; replaces the default list.",
)
@click.option("--passes", "user_passes", multiple=True, metavar="FILE.py:PASS", help="Your own.")
@click.option("--no-passes", is_flag=True, help="Run no pass at all.")
@click.option("--train", is_flag=True, help="Compile forward and backward.")
@click.option("--target", default="reference", show_default=True, help="Where it will run.")
@click.option("--memory", help="Byte budget, as 512MiB.")
@click.option("--keep", multiple=True, help="A blob that must survive and be returned.")
@click.option("--max-error", type=float, help="Largest output change of lossy passes together.")
@click.option("--measure/--no-measure", default=None, help="Measure each pass's output change.")
@click.option("--dump", help="Folder for the graph's text form before and after each pass.")
@json_option
def command(net: str, output: str | None, as_json: bool, **options: Any) -> None:
    """Compile NET (a prototxt) into an artefact that `graphc run` executes."""
    from graphc import driver

    started = time.perf_counter()
    graph = load_net(net, options)
    driver.check_target(options["target"], options["memory"])
    optimized, report = driver.optimize(
        graph,
        () if options["train"] and not _chosen(options) else _passes(options),
        keep=options["keep"],
        measure=options["measure"],
        max_error=options["max_error"],
        dump=options["dump"],
    )
    exe = driver.assemble(optimized, train=options["train"], keep=options["keep"])
    target = Path(output) if output else default_output(net)
    exe.save(target)
    elapsed = time.perf_counter() - started
    size = target.stat().st_size
    if as_json:
        emit_json(
            {
                "artefact": str(target),
                "bytes": size,
                "inputs": {k: list(v) for k, v in exe.inputs.items()},
                "outputs": {k: list(v) for k, v in exe.outputs.items()},
                "passes": [
                    {
                        "name": r.name,
                        "changed": r.changed,
                        "detail": list(r.detail),
                        "max_change": r.max_change,
                    }
                    for r in report.passes
                ],
                "notes": optimized.notes,
                "seconds": elapsed,
            }
        )
        return
    for remark in optimized.notes:
        note(f"note: {remark}")
    for record in report.passes:
        click.echo(driver.format_record(record))
    for title, blobs in (("input", exe.inputs), ("output", exe.outputs)):
        for name, shape in blobs.items():
            click.echo(f"{title} {name}: {shape_text(shape)}")
    click.echo(f"wrote {target} ({size / 2**20:.1f} MiB) in {elapsed:.1f} s")


def _chosen(options: dict[str, Any]) -> bool:
    return bool(options["recipe"] or options["pass_specs"] or options["user_passes"])


def _passes(options: dict[str, Any]) -> list[PassLike] | str:
    """The passes asked for: the recipe's, then --pass and --passes; "default" if none."""
    from graphc.passes.recipe import parse_spec, read_recipe

    if options["no_passes"]:
        return []
    if not _chosen(options):
        return "default"
    chosen: list[PassLike] = list(read_recipe(Path(options["recipe"]))) if options["recipe"] else []
    chosen += [parse_spec(spec) for spec in options["pass_specs"]]
    chosen += options["user_passes"]
    return chosen


def default_output(net: str) -> Path:
    """models/lenet/deploy.prototxt -> lenet.gcz, here; other.prototxt -> other.gcz."""
    path = Path(net)
    generic = path.stem in ("deploy", "train", "train_val", "net", "model")
    parent = path.resolve().parent.name
    return Path(f"{parent if generic and parent else path.stem}.gcz")
