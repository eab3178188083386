"""One stage in a process of its own: a fault in the driver or a hang ends only that stage.

python -m bench.probe.child MODULE FACTS_FILE SECONDS run|dry
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

from bench.probe.facts import Clock, Facts, Missing


def run_stage(module: str, facts: Facts, seconds: float, dry: bool) -> str:
    """Run the stage and write how it ended. Returns that status."""
    try:
        importlib.import_module(module).run(facts, Clock(seconds), dry)
    except Missing as error:
        facts.miss(error.what, error.why)
        status, fault = "missing", None
    except Exception as error:
        traceback.print_exc()
        status, fault = "failed", error
    else:
        fault = None
        if facts.failed:
            status = "partial"
        elif facts.missing:
            status = "missing"
        else:
            status = "dry" if dry else "ok"
    facts.end(status, fault)
    return status


if __name__ == "__main__":
    name, file, limit, mode = sys.argv[1:]
    run_stage(name, Facts(Path(file)), float(limit), mode == "dry")
    sys.stdout.flush()
    sys.stderr.flush()
    # A library's exit handler can hang on a broken device; everything is written by now.
    os._exit(0)
