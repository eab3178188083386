"""First facts from a GPU: versions, ceilings, capture, cuDNN plans, torch's step times.

python3 tools/bench/gpu_probe.py --out DIR [--budget SECONDS] [--stages a,b] [--dry-run] [--list]

Writes DIR/probe.json after every stage and prints a table last. Needs no graphc; a stage whose
package or device is missing says so and the next one runs. See docs/gpu-facts.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from bench.probe.cli import main

    sys.exit(main(sys.argv[1:]))
