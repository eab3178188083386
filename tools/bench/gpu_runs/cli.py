"""Arguments -> stages -> gpu.jsonl and the table."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from bench.probe import report
from bench.probe.cli import _listing, _seconds, _terminated
from bench.probe.runner import Stage, run_all

BUDGET_S = 560.0
OURS = "bench.gpu_runs"
STAGES = (
    Stage("versions", 10, "which driver, CUDA, cuDNN, cuBLAS, CuPy", "bench.probe.stages.versions"),
    Stage("copies", 20, "what copies reach, the yardstick of kernels", "bench.probe.stages.copies"),
    Stage("correct", 60, "are steps and outputs those of the CPU", f"{OURS}.correct"),
    Stage("kernels", 60, "microseconds of each plan of cuDNN: tables", f"{OURS}.kernels"),
    Stage("nets", 260, "steps and runs of networks, ours beside torch", f"{OURS}.nets"),
    Stage("budgets", 150, "what a step takes within less and less memory", f"{OURS}.budgets"),
)
"""Correctness before speed; shares are seconds of 560."""
CHECKED = "correct"


def _selection(text: str) -> list[Stage]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in {stage.name for stage in STAGES}]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"no stage {', '.join(wrong) or 'nothing'}")
    return [stage for stage in STAGES if stage.name in names]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="gpu.py", description="graphc on a GPU.")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the results; is made")
    made.add_argument("--budget", type=_seconds, default=BUDGET_S, metavar="SECONDS")
    made.add_argument("--stages", type=_selection, default=list(STAGES), metavar="A,B")
    made.add_argument("--list", action="store_true", help="print the stages and end")
    made.add_argument("--dry-run", action="store_true", help="only what needs no GPU")
    return made


def main(argv: list[str]) -> int:
    """Run the chosen stages. Returns 1 if a check of the results failed, or was not made."""
    made = parser()
    args = made.parse_args(argv)
    if args.list:
        print(_listing(args.stages, args.budget))
        return 0
    if args.out is None:
        made.error("--out DIR is needed")
    args.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _terminated)
    doc = report.document(args.budget, args.dry_run, [stage.name for stage in args.stages])
    lines = args.out / "gpu.jsonl"
    lines.write_text(json.dumps({k: v for k, v in doc.items() if k != "stages"}) + "\n")

    def done(record: dict[str, Any], printed: str) -> None:
        doc["stages"].append(record)
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
        with (args.out / "gpu.log").open("a", encoding="utf-8") as log:
            log.write(f"== {record['name']} {record['status']}\n{printed}\n")
        print(f"{record['name']} {record['status']} {record['seconds']:.1f} s", flush=True)

    run_all(args.stages, args.budget, args.dry_run, done)
    print("\n" + report.table(doc), flush=True)
    checks = [stage for stage in doc["stages"] if stage["name"] == CHECKED]
    return int(any(stage["status"] not in ("ok", "dry") for stage in checks))


__all__ = ["BUDGET_S", "STAGES", "main", "parser"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
