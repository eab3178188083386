"""What `graphc run` does. `run_plain` reads plain command lines without click; see `declared`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.cli.declared import at_least, option, read_plain
from graphc.cli.inputs import print_notes, read_feeds
from graphc.cli.nets import NET_SUFFIXES, folder_hint, is_artefact, keep_option, open_executable
from graphc.cli.options import (
    FIXED,
    INPUT_OPTIONS,
    NET_OPTIONS,
    choose_gpu,
    gpu_option,
    json_option,
    mbs_option,
    target_option,
    threads_option,
)
from graphc.cli.output import emit_json, note, say
from graphc.cli.results import Labels, describe, show, write_npz
from graphc.errors import fail
from graphc.runtime.executable import Executable

ARRAYS = (".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif", ".webp")


OPTIONS = (
    *INPUT_OPTIONS,
    option("--labels", metavar="FILE", help="Text file with one class name per line."),
    option(
        "--top",
        kind=at_least(1),
        default=5,
        show_default=True,
        metavar="K",
        help="Classes to print.",
    ),
    option("-o", "--output", metavar="OUT.npz", help="Write all outputs to this file."),
    option(
        "--keep",
        multiple=True,
        metavar="BLOB",
        help="Return this blob, too, or `all` (repeatable).",
    ),
    mbs_option,
    target_option,
    gpu_option,
    threads_option,
    *NET_OPTIONS,
    json_option,
)


def run_plain(words: Sequence[str]) -> bool:
    """Run what follows `graphc run`, if that is a plain command line; else nothing is done."""
    plain = read_plain(words, OPTIONS, but=FIXED)
    if plain is not None:
        run(*plain, is_plain=True)
    return plain is not None


def run(arguments: Sequence[str], options: dict[str, Any], *, is_plain: bool = False) -> None:
    """Obey the command line; see the command's help. `is_plain`: click has not read it."""
    choose_gpu(options)
    net, files = split_arguments(arguments, options["inputs"])
    output = options["output"]
    target = _target(output, [net, *files])
    labels = Labels.read(options["labels"], strict=options["strict"])
    keep = keep_option(options["keep"])
    with folder_hint(net), open_executable(net, options, keep, is_plain=is_plain) as exe:
        print_notes(exe.graph, is_artefact(net))
        feeds, names = read_feeds(exe.graph, files, options)
        started = time.perf_counter()
        results = exe.run_held(feeds)
        elapsed = time.perf_counter() - started
        plan = _plan(exe) if options["as_json"] else None
    if target is not None:
        write_npz(target, results)
    report = {n: describe(n, a, labels, options["top"], names) for n, a in results.items()}
    for remark in labels.remarks:
        note(f"note: {remark}")
    if options["as_json"]:
        emit_json(
            {
                "net": net,
                "target": exe.target,
                "inputs": {name: list(array.shape) for name, array in feeds.items()},
                "outputs": report,
                "plan": plan,
                "notes": [*exe.graph.notes, *labels.remarks],
                "seconds": elapsed,
            }
        )
        return
    for name, entry in report.items():
        show(name, entry, results[name])
    if not report:
        say("the network has no outputs")
    say(f"{net}: {elapsed * 1e3:.1f} ms on target {exe.target}")
    if output is not None:
        say(f"wrote {output}")


def _plan(exe: Executable) -> dict[str, Any] | None:
    """The figures of the memory plan; None for a target that plans nothing."""
    if exe.target == "reference":
        return None
    plan = exe.plan
    told = {"peak_bytes": plan.peak_bytes, "breakdown": dict(plan.breakdown)}
    return told | {"moved_bytes": sum(exe.moved())}


def split_arguments(
    arguments: Sequence[str], inputs: Sequence[str], folder: Path | None = None
) -> tuple[str, list[str]]:
    """Which argument is the network (the newest .gcz in `folder`, if none), and the inputs.

    The first argument is the network unless it looks like an image or array.
    """
    rest = list(arguments)
    if rest and not rest[0].lower().endswith(ARRAYS + IMAGES):
        return rest[0], [*inputs, *rest[1:]]
    for text in rest:
        if text.endswith((".gcz", *NET_SUFFIXES)):
            fail("GC-C001", f"the network {text!r} comes after an input", "name it first")
    found = sorted((folder or Path()).glob("*.gcz"), key=lambda p: (p.stat().st_mtime_ns, p.name))
    if not found:
        fail("GC-F001", "no .gcz in this folder", "name a network, or run `graphc compile` first")
    note(f"running {found[-1]}, the newest .gcz here")
    return str(found[-1]), [*inputs, *rest]


def _target(output: str | None, read: Sequence[str]) -> Path | None:
    """Where the outputs go. Raises before any work for a place that cannot be meant."""
    if output is None:
        return None
    target = Path(output)
    if target.suffix != ".npz":
        hint = f"write -o {target.with_suffix('.npz')}"
        fail("GC-C001", f"-o {output!r}: outputs are written as .npz", hint)
    if not target.parent.is_dir():
        fail("GC-F002", f"cannot write {output!r}: no folder {str(target.parent)!r}")
    for path in read:
        if target.exists() and Path(path.rpartition("=")[2]).resolve() == target.resolve():
            fail("GC-C001", f"-o {output!r} would overwrite an input", "choose another name")
    return target
