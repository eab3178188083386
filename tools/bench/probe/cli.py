"""Arguments -> stages -> probe.json, probe.log, device.json and the table."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.probe import report
from bench.probe.runner import Stage, allowance, run_all

BUDGET_S = 180.0


def _stage(name: str, share: float, asks: str) -> Stage:
    return Stage(name, share, asks, f"bench.probe.stages.{name}")


# In the order of how much later work waits for the answer; shares are seconds of 180.
STAGES = (
    _stage("versions", 8, "which driver, CUDA, cuDNN, cuBLAS, CuPy, torch"),
    _stage("device", 8, "cuDNN's description of the device against the hand-made one"),
    _stage(
        "copies", 16, "device copy, pinned copies each way and both, the limit of pinned memory"
    ),
    _stage("launch", 8, "cost of a launch, eager and as a node of a graph"),
    _stage("capture", 14, "is a captured step with a forked copy the eager step, bit for bit"),
    _stage("fusion", 20, "which fused patterns cuDNN lists, builds and runs here"),
    _stage("plans", 26, "are workspaces and ranks those predicted without a device"),
    _stage("products", 12, "rate of large matrix products, bf16 and TF32"),
    _stage("torch_eager", 28, "step time and peak memory of torch with a captured graph"),
    _stage("torch_compile", 40, "step time and peak memory of torch.compile"),
)


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is no positive number of seconds")
    return value


def _selection(text: str) -> list[Stage]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {stage.name for stage in STAGES}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = ", ".join(unknown) or "nothing"
        raise argparse.ArgumentTypeError(f"no stage {wrong}; there are {', '.join(sorted(known))}")
    return [stage for stage in STAGES if stage.name in names]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="gpu_probe.py", description="First facts from a GPU.")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the results; is made")
    made.add_argument(
        "--budget", type=_seconds, default=BUDGET_S, metavar="SECONDS", help="for all stages"
    )
    made.add_argument(
        "--stages", type=_selection, default=list(STAGES), metavar="A,B", help="only these"
    )
    made.add_argument("--list", action="store_true", help="print the stages and end")
    made.add_argument("--dry-run", action="store_true", help="only what needs no device")
    return made


def _listing(stages: Sequence[Stage], budget_s: float) -> str:
    rows, left = [], budget_s
    for index, stage in enumerate(stages):
        seconds = allowance(left, [entry.share for entry in stages[index:]])
        left -= seconds
        rows.append(f"{stage.name:14} {seconds:6.1f} s  {stage.asks}")
    return "\n".join(rows)


def _terminated(number: int, frame: object) -> None:
    """Leave through `finally`, which ends the running stage too."""
    sys.exit(128 + number)


def main(argv: list[str]) -> int:
    """Run the chosen stages. Returns 0 once the results are written, whatever they say."""
    made = parser()
    args = made.parse_args(argv)
    if args.list:
        print(_listing(args.stages, args.budget))
        return 0
    if args.out is None:
        made.error("--out DIR is needed")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "probe.log").write_text("", encoding="utf-8")
    except OSError as error:
        made.error(f"--out {args.out}: {error}")
    signal.signal(signal.SIGTERM, _terminated)
    doc = report.document(args.budget, args.dry_run, [stage.name for stage in args.stages])

    def done(record: dict[str, Any], printed: str) -> None:
        doc["stages"].append(record)
        report.write_json(args.out / "probe.json", doc)
        described = record["facts"].get("device_properties")
        if described:
            report.write_json(args.out / "device.json", described)
        with (args.out / "probe.log").open("a", encoding="utf-8") as log:
            log.write(f"== {record['name']} {record['status']}\n{printed}\n")
        print(f"{record['name']} {record['status']} {record['seconds']:.1f} s", flush=True)

    run_all(args.stages, args.budget, args.dry_run, done)
    print("\n" + report.table(doc), flush=True)
    return 0
