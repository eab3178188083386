"""graphc on a GPU: is it right, how fast are kernels and steps, what does memory cost.

python3 tools/bench/gpu.py --out DIR [--budget SECONDS] [--stages a,b] [--dry-run] [--list]

One call, 560 seconds unless told. Each stage has a deadline; what it found is a line of
DIR/gpu.jsonl at once, and a table is printed last. The exit status is 1 if a check of the results
failed. See docs/cuda.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from bench.gpu_runs.cli import main

    sys.exit(main(sys.argv[1:]))
