"""What a run gave, for people and programs: ranked classes, values, ranges; and as .npz."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from graphc import _core
from graphc.cli.output import say, shape_text
from graphc.files import replacing
from graphc.floats import Floats, Held, as_array
from graphc.limits import Limits
from graphc.numpy_later import np
from graphc.records import record

FEW = 10  # values of a vector that are printed in order, where they are no probabilities


@record
class Labels:
    """Class names from a file, and what is to say about how they fit."""

    names: list[str] = field(default_factory=list)
    file: str = ""
    remarks: list[str] = field(default_factory=list)

    @staticmethod
    def read(path: str | None, *, strict: bool = False) -> Labels:
        """One name per line of a text file. Raises GC-F001, GC-L001."""
        if path is None:
            return Labels()
        from graphc.cli.nets import existing
        from graphc.data.preprocess import read_labels

        return Labels(read_labels(Path(existing(path)), Limits.of(strict)), path)

    def of(self, index: int) -> str:
        return self.names[index] if index < len(self.names) else ""


def describe(
    name: str, array: Held, labels: Labels, top: int, inputs: Sequence[str]
) -> dict[str, Any]:
    """One output as a JSON-ready object: shape and range, and for one vector per sample the `top`
    entries (of the first sample; `samples` has all where there are several)."""
    shape = array.shape
    entry: dict[str, Any] = {"shape": list(shape)}
    size = math.prod(shape)
    if not size:
        return entry
    numbers = Floats.of(array).numbers
    if size == 1:
        entry["value"] = numbers[0]
    entry |= dict(zip(("min", "mean", "max"), _core.figures(numbers), strict=True))
    is_vector = len(shape) >= 2 and size == shape[0] * shape[1] and shape[1] > 1
    if not is_vector:
        return entry
    if labels.file and len(labels.names) != shape[1]:
        told = f"{name!r} has {shape[1]} classes, but {labels.file} {len(labels.names)} names"
        labels.remarks.append(told)
    samples = [
        {"input": inputs[i] if i < len(inputs) else "", "top": _ranked(row, labels, top)}
        for i, row in enumerate(_rows(numbers, shape[0]))
    ]
    entry["top"] = samples[0]["top"]
    if len(samples) > 1 or inputs:
        entry["samples"] = samples
    return entry


def _rows(numbers: memoryview[float], count: int) -> list[memoryview[float]]:
    """`count` pieces of the same length."""
    each = len(numbers) // count
    return [numbers[at : at + each] for at in range(0, len(numbers), each)]


def _ranked(row: memoryview[float], labels: Labels, top: int) -> list[dict[str, Any]]:
    order = _core.ranked(row, top)
    return [{"class": c, "label": labels.of(c), "value": row[c]} for c in order]


def show(name: str, entry: dict[str, Any], array: Held) -> None:
    """Print one output."""
    if "value" in entry:
        say(f"{name}: {entry['value']:.6g}")
        return
    say(f"{name}: {shape_text(entry['shape'])}")
    if "top" not in entry:
        if "min" in entry:
            say("  min {min:.4g}  mean {mean:.4g}  max {max:.4g}".format(**entry))
        return
    rows = _rows(Floats.of(array).numbers, array.shape[0])
    samples = entry.get("samples", [{"input": "", "top": entry["top"]}])
    for index, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        title = sample["input"] or (f"sample {index}" if len(samples) > 1 else "")
        ranked = sample["top"]
        if len(row) <= FEW and not _is_distribution(row) and not any(r["label"] for r in ranked):
            say(f"  {title + ': ' if title else ''}{'  '.join(f'{value:.5g}' for value in row)}")
            continue
        if title:
            say(f"  {title}")
        for rank in ranked:
            value = (
                f"{rank['value']:10.5f}" if abs(rank["value"]) < 1e5 else f"{rank['value']:10.3e}"
            )
            say(f"  {value}  class {rank['class']:<4} {rank['label']}".rstrip())


def _is_distribution(row: memoryview[float]) -> bool:
    """Do the values look like probabilities of classes, which one reads ranked?"""
    return all(value >= 0 for value in row) and abs(math.fsum(row) - 1) < 1e-3


def write_npz(path: Path, results: Mapping[str, Held]) -> None:
    """Write arrays by name, all or nothing; member by member, since numpy's own savez cannot name
    one `file`. Raises GC-F002."""
    import zipfile  # which takes a while, and few runs write a file

    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in results.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, as_array(array), allow_pickle=False)


__all__ = ["Labels", "describe", "show", "write_npz"]
