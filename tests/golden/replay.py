"""Replays a golden of `layers/` through the public interface; run as a program, it sums up.

usage: python -m golden.replay [NAME...]     (in tests/) worst share of the tolerance per family
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from golden.caffe_cases import Case, exact, names, ratio, read_case, unpack

import graphc
from graphc.errors import GraphError

WRITER = "hdf5output"
"""The one case that is judged by the file it writes."""


@dataclass(frozen=True)
class Verdict:
    """`share`: the part of the tolerance used up by `key`; above 1 is a failure."""

    key: str
    share: float


def judge(case: Case, key: str, ours: np.ndarray | None, caffe: np.ndarray) -> Verdict:
    if ours is None:
        return Verdict(f"{key} (missing)", np.inf)
    what, _, blob = re.sub(r"^step\d+/", "", key).partition("/")
    if what == "out" and case.is_integer(blob) and np.array_equal(caffe, np.round(caffe)):
        return Verdict(key, 0.0 if exact(ours, caffe) else np.inf)
    return Verdict(key, ratio(ours, caffe, case.meta["rtol"], case.meta["atol"]))


def replay(
    case: Case,
    folder: Path,
    target: str = "reference",
    keep: str | tuple[str, ...] = "all",
    train: bool = True,
    passes: str | tuple[str, ...] = (),
) -> Iterator[Verdict]:
    """Load, run and, if Caffe did and `train`, differentiate the case's net in `folder`; one
    verdict per golden array, of blobs those that are kept and survive the passes."""
    meta = case.meta
    weights = folder / f"{case.name}.caffemodel"
    net = graphc.load(
        folder / f"{case.name}.prototxt",
        weights if weights.exists() else None,
        phase=meta["phase"],
        level=meta["level"],
        stages=tuple(meta["stages"]),
    )
    train = meta["backward"] and train
    is_whole = keep == "all" and not passes
    due = None if is_whole else {v.name for v in net.outputs}
    with graphc.compile(net, target=target, train=train, passes=passes, keep=keep) as exe:
        if "memory/data" in case.arrays:
            (layer,) = (x["name"] for x in meta["layers"] if x["type"] == "MemoryData")
            exe.set_arrays(layer, case.arrays["memory/data"], case.arrays["memory/label"])
        for step in case.steps:
            yield from _replay_step(case, exe, step, due)
        for key, caffe in case.under("wafter/"):
            layer, _, index = key.rpartition("/")
            yield judge(case, f"wafter/{key}", exe.params[layer][int(index)], caffe)


def _replay_step(
    case: Case, exe: graphc.Executable, step: str, due: Collection[str] | None
) -> Iterator[Verdict]:
    """`due`: blobs that must be there; None: all of the golden's."""
    tops = exe.forward({name: case.arrays[f"{step}in/{name}"] for name in case.meta["inputs"]})
    for blob, caffe in case.under(f"{step}out/"):
        name = case.split_from.get(blob, blob)
        ours = tops.get(name)
        if ours is not None or due is None or name in due:
            yield judge(case, f"{step}out/{blob}", ours, caffe)
    if not exe.train:
        return
    seeds = {} if case.meta["loss_driven"] else dict(case.under(f"{step}topdiff/"))
    grads = exe.backward(seeds)
    for blob, caffe in case.under(f"{step}indiff/"):
        ours = grads.blobs.get(blob)
        if ours is not None or exe.keep == "all":
            yield judge(case, f"{step}indiff/{blob}", ours, caffe)
    for key, caffe in case.under(f"{step}wdiff/"):
        layer, _, index = key.rpartition("/")
        yield judge(case, f"{step}wdiff/{key}", grads.params[layer][int(index)], caffe)


def main(wanted: list[str]) -> int:
    worst: dict[str, tuple[float, str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = unpack(Path(scratch)) / "layers"
        for name in names("layers"):
            if name == WRITER or (wanted and not any(w in name for w in wanted)):
                continue
            case = read_case(folder / f"{name}.npz")
            try:
                share, key = max((v.share, v.key) for v in replay(case, folder))
            except GraphError as error:
                share, key = np.inf, error.headline
            family = case.meta["family"]
            worst[family] = max(worst.get(family, (0.0, "")), (share, f"{name} {key}"))
    for family, (share, where) in sorted(worst.items(), key=lambda item: item[1]):
        print(f"{share:9.4f} of the tolerance  {family:28} {where}")
    failed = sum(share > 1 for share, _ in worst.values())
    print(f"{len(worst)} families, {failed} outside the tolerance")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
