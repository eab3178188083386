"""graphc run [NET] [INPUTS...]."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from graphc.cli.options import is_artefact, json_option, load_net, net_options
from graphc.cli.output import emit_json, note, shape_text
from graphc.errors import GraphError, fail
from graphc.ir.graph import Array
from graphc.runtime.executable import Executable

NET_SUFFIXES = {".gcz", ".prototxt", ".pbtxt"}


@click.command("run")
@click.argument("arguments", nargs=-1, metavar="[NET] [INPUTS]...")
@net_options
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Image, .npy or .npz; several images make a batch.",
)
@click.option("--mean", help="Subtracted from images, per channel as b,g,r.")
@click.option(
    "--scale", type=float, default=1.0, help="Images are multiplied by it after the mean."
)
@click.option("--rgb", is_flag=True, help="Channels in RGB order, not Caffe's BGR.")
@click.option("--labels", help="Text file with one class name per line.")
@click.option("--top", default=5, show_default=True, help="Classes to print.")
@click.option("-o", "--output", help="Write all outputs to this .npz.")
@click.option("--keep", multiple=True, help="A blob to return beside the outputs.")
@click.option("--gpu", is_flag=False, flag_value="0", help="Run on a GPU.")
@json_option
def command(
    arguments: tuple[str, ...],
    inputs: tuple[str, ...],
    output: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run NET (an artefact or a prototxt; default: the newest .gcz here) on INPUTS.

    Inputs are images, .npy or .npz files; without any, random numbers are fed, and said so.
    """
    if options["gpu"] is not None:
        raise GraphError("GC-X001", "there is no GPU backend in this version", "leave --gpu out")
    net, files = _split(arguments, inputs)
    labels = _labels(options["labels"])
    with _open(net, options) as exe:
        feeds, names = _feeds(exe, files, options)
        started = time.perf_counter()
        results = exe.run(feeds)
        elapsed = time.perf_counter() - started
    if output:
        _write(Path(output), results)
    report = {
        name: _describe(array, labels, options["top"], names) for name, array in results.items()
    }
    if as_json:
        emit_json({"net": net, "outputs": report, "seconds": elapsed})
        return
    for name, entry in report.items():
        _print(name, entry, results[name])
    click.echo(f"{elapsed * 1e3:.1f} ms on the reference executor")
    if output:
        click.echo(f"wrote {output}")


def _split(arguments: Sequence[str], inputs: Sequence[str]) -> tuple[str, list[str]]:
    """Which argument is the network, and which are inputs."""
    rest = list(arguments)
    if rest and (Path(rest[0]).suffix in NET_SUFFIXES or (not inputs and len(rest) == 1)):
        return rest[0], [*inputs, *rest[1:]]
    found = sorted(Path().glob("*.gcz"), key=lambda p: p.stat().st_mtime)
    if not found:
        fail("GC-F001", "no .gcz in this folder", "name a network, or run `graphc compile` first")
    note(f"running {found[-1]}")
    return str(found[-1]), [*inputs, *rest]


def _open(net: str, options: dict[str, Any]) -> Executable:
    from graphc import driver

    if not is_artefact(net):
        exe = driver.compile(load_net(net, options), keep=options["keep"])
    else:
        if options["weights"]:
            fail("GC-R003", "an artefact has its weights inside", "leave -w out")
        exe = driver.open(net, keep=options["keep"], limits=driver.limits_for(options["strict"]))
    for remark in exe.graph.notes:
        note(f"note: {remark}")
    return exe


def _labels(path: str | None) -> list[str]:
    if path is None:
        return []
    from graphc.data.preprocess import read_labels

    return read_labels(Path(path))


def _feeds(
    exe: Executable, files: Sequence[str], options: dict[str, Any]
) -> tuple[dict[str, Array], list[str]]:
    """Arrays for the net's inputs, and the names of the samples (files) where they are images."""
    from graphc.data.preprocess import Preprocess, read_inputs

    if not files:
        if exe.inputs:
            note("note: no input given: feeding random numbers")
        rng = np.random.default_rng(0)
        return (
            {n: rng.uniform(-1, 1, s).astype(np.float32) for n, s in exe.inputs.items()},
            [],
        )
    prepare = Preprocess(mean=_numbers(options["mean"]), scale=options["scale"], rgb=options["rgb"])
    return read_inputs(files, exe.inputs, prepare)


def _numbers(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        return tuple(float(x) for x in text.split(","))
    except ValueError:
        fail("GC-R002", f"--mean {text!r} is no list of numbers", "write --mean 104,117,123")


def _write(path: Path, results: Mapping[str, Array]) -> None:
    """An .npz; written member by member, since numpy's own savez cannot name one `file`."""
    from graphc.files import replacing

    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in results.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _describe(
    array: Array, labels: Sequence[str], top: int, names: Sequence[str]
) -> dict[str, Any]:
    """Shape, and the largest entries of each sample where the output is one vector per sample."""
    entry: dict[str, Any] = {"shape": list(array.shape)}
    is_vector = array.ndim >= 2 and array[0:1].size == array.shape[1] and array.shape[1] > 1
    if not array.size or not is_vector:
        return entry
    samples = []
    for index, row in enumerate(array.reshape(array.shape[0], -1)):
        order = np.argsort(-row, kind="stable")[:top]
        ranked = [
            {
                "class": int(c),
                "label": labels[c] if c < len(labels) else "",
                "value": float(row[c]),
            }
            for c in order
        ]
        name = names[index] if index < len(names) else ""
        samples.append({"input": name, "top": ranked})
    entry["top"] = samples[0]["top"]
    if len(samples) > 1 or names:
        entry["samples"] = samples
    return entry


def _print(name: str, entry: dict[str, Any], array: Array) -> None:
    click.echo(f"{name}: {shape_text(entry['shape'])}")
    if "top" not in entry:
        if array.size == 1:
            click.echo(f"  {float(array.reshape(-1)[0]):.6g}")
        elif array.size:
            flat = array.astype(np.float64)
            click.echo(f"  min {flat.min():.4g}  mean {flat.mean():.4g}  max {flat.max():.4g}")
        return
    for sample in entry.get("samples", [{"input": "", "top": entry["top"]}]):
        if sample["input"]:
            click.echo(f"  {sample['input']}")
        for rank in sample["top"]:
            label = f"  {rank['label']}" if rank["label"] else ""
            click.echo(f"  {rank['value']:10.5f}  class {rank['class']}{label}")
