"""graphc data convert | mean | show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from graphc.cli.options import json_option
from graphc.cli.output import count_text, emit_json, note, say, shape_text, table
from graphc.cli.progress import Progress
from graphc.errors import fail

F = TypeVar("F", bound=Callable[..., Any])
FEW = 20


class Extent(click.ParamType[tuple[int, int]]):
    """ "32x48" -> (32, 48)."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        try:
            height, width = (int(v) for v in str(value).lower().split("x"))
        except ValueError:
            self.fail(f"{value!r} is not HxW", param, ctx)
        return height, width


def source_options(function: F) -> F:
    """Which data set is meant, and how its parts are found."""
    for option in reversed(
        (
            click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
            click.option("--root", metavar="DIR", help="Where file names in a list count from."),
            click.option("--labels", metavar="FILE", help="The labels of idx images."),
            click.option(
                "--data", default="data", show_default=True, metavar="NAME", help="Array of images."
            ),
            click.option(
                "--label", metavar="NAME", help="Array of labels.  [default: label, if it is there]"
            ),
            click.option("--resize", type=Extent(), metavar="HxW", help="Resize image files."),
            click.option("--gray", is_flag=True, help="One grey channel from image files."),
        )
    ):
        function = option(function)
    return function


@click.group("data", invoke_without_command=True, subcommand_metavar="VERB ...", options_metavar="")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Convert data sets, take their mean, show what they hold.

    SOURCE is an LMDB, an HDF5 file, .npz or .npy, MNIST's idx images (also .gz), CIFAR's .bin
    batches, a folder with one subfolder of images per class, or a list file of lines `path label`.
    `graphc data VERB --help` lists the options, --json among them.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("convert")
@source_options
@click.option("-o", "--output", required=True, metavar="DEST", help="What to write.")
@click.option(
    "--form",
    type=click.Choice(["lmdb", "hdf5", "npz"]),
    help="What to make.  [default: by the suffix .h5, .hdf5 or .npz, else lmdb]",
)
@click.option("--encoded", is_flag=True, help="Keep image files as they are, in an LMDB.")
@click.option("--shuffle", is_flag=True, help="In random order.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Of the order.")
@click.option("--swap-channels", is_flag=True, help="Reverse the order of the three channels.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option("--classes", metavar="FILE", help="Write the class names to this text file.")
@json_option
def convert(
    sources: tuple[str, ...],
    output: str,
    encoded: bool,
    force: bool,
    classes: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write SOURCE as an LMDB for Data layers, HDF5 for HDF5Data, or npz for NumpyData.

    Images have blue, green, red planes, as in Caffe; arrays keep the order they have.
    """
    from dataclasses import asdict

    from graphc.data.conversion import convert_data

    _check_classes(classes, force)
    made = convert_data(
        sources,
        output,
        replace=force,
        encoded=encoded,
        progress=Progress(f"converting to {output}"),
        **options,
    )
    if classes is not None:
        _write_classes(classes, made.classes)
    if as_json:
        emit_json(asdict(made))
        return
    shape = "image files" if made.shape is None else shape_text(made.shape)
    say(f"{made.path}: {made.form}, {count_text(made.count, 'record')}, {shape}")
    _print_labels(made.labels, made.classes)


@command.command("mean")
@source_options
@click.option("-o", "--output", metavar="FILE", help="A .binaryproto or .npy to write.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@json_option
def mean(
    sources: tuple[str, ...], output: str | None, force: bool, as_json: bool, **options: Any
) -> None:
    """Compute the mean image, as Caffe's compute_image_mean, and the mean of each channel."""
    from graphc.data.blob import write_mean
    from graphc.data.staging import check_free
    from graphc.data.summary import mean_image

    target = None if output is None else Path(output)
    if target is not None:
        if target.suffix not in (".binaryproto", ".npy"):
            fail("GC-C001", f"-o {output!r}: a mean is written as .binaryproto or .npy")
        check_free(target, force)
    names, images = _parts(options)
    found = mean_image(sources, names=names, images=images, progress=Progress("mean"))
    if target is not None:
        write_mean(target, found)
    channels = [float(c) for c in found.mean((1, 2))]
    if as_json:
        emit_json({"shape": list(found.shape), "channels": channels, "path": output})
        return
    say(f"mean image {shape_text(found.shape)}, of its channels: " + _numbers(channels))
    if output is not None:
        say(f"wrote {output}")


@command.command("show")
@source_options
@json_option
def show(sources: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Count the records of SOURCE, their shapes and labels."""
    from graphc.data.summary import describe_data

    names, images = _parts(options)
    found = describe_data(sources, names=names, images=images, progress=Progress("reading"))
    shapes = sorted(found.shapes.items(), key=lambda item: -item[1])
    if as_json:
        emit_json(
            {
                "source": found.source,
                "kind": found.kind,
                "count": found.count,
                "dtype": found.dtype,
                "shapes": [{"shape": list(s), "count": n} for s, n in shapes],
                "labels": found.labels,
                "keys": list(found.keys),
                "classes": list(found.classes),
            }
        )
        return
    say(f"{found.source}: {found.kind}, {count_text(found.count, 'record')} of {found.dtype}")
    told = [f"{shape_text(s)} ({n:,})" for s, n in shapes[:FEW]]
    say("shapes: " + ", ".join(told) + (", ..." if len(shapes) > FEW else ""))
    say("first:  " + ", ".join(found.keys))
    _print_labels(found.labels, found.classes)


def _parts(options: dict[str, Any]) -> tuple[Any, Any]:
    """The values of `source_options`, as the library takes them."""
    from graphc.data.image_examples import ImageOptions
    from graphc.data.opening import Names

    labels, root = (None if v is None else Path(v) for v in (options["labels"], options["root"]))
    names = Names(options["data"], options["label"], labels, root)
    return names, ImageOptions(options["resize"], options["gray"])


def _print_labels(labels: dict[int, int], classes: tuple[str, ...]) -> None:
    named = bool(classes)
    rows = [
        (str(label), *((classes[label],) if named else ()), f"{count:,}")
        for label, count in list(labels.items())[:FEW]
    ]
    table(("label", *(("class",) if named else ()), "records"), rows, right="label,records")
    if len(labels) > FEW:
        say(f"... {len(labels) - FEW:,} labels more; --json has all")


def _check_classes(classes: str | None, force: bool) -> None:
    from graphc.data.staging import check_free

    if classes is not None:
        check_free(Path(classes), force)


def _write_classes(path: str, classes: tuple[str, ...]) -> None:
    from graphc.files import write_file

    if not classes:
        note("note: the source names no classes, so that none are written")
        return
    write_file(path, "".join(f"{name}\n" for name in classes))


def _numbers(values: list[float]) -> str:
    return ",".join(f"{v:.6g}" for v in values)
