"""Reports file sizes, and fails for source files over 300 lines and test files over 400.

tools/sizecheck.py [-v]     -v also lists the ten largest files
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"graphc": 300, "csrc": 300, "kernels": 300, "tools": 300, "tests": 400}
KINDS = (".py", ".pyi", ".h", ".cpp", ".cu", ".cuh")

# Tables and generated files, which a reader looks things up in.
EXCEPTED = {"graphc/codes.py": "the table of error codes"}


def sizes(root: Path = ROOT) -> dict[str, int]:
    """Lines of every source file, by path from `root`."""
    return {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in LIMITS
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in KINDS and path.is_file()
    }


def limit(name: str) -> int:
    return LIMITS[name.split("/")[0]]


def too_long(lines: dict[str, int]) -> dict[str, int]:
    return {name: n for name, n in lines.items() if n > limit(name) and name not in EXCEPTED}


def main(argv: list[str]) -> int:
    lines = sizes()
    for folder in LIMITS:
        mine = [n for name, n in lines.items() if name.startswith(f"{folder}/")]
        if mine:
            print(
                f"{folder:8} {len(mine):4} files {sum(mine):6} lines, "
                f"median {statistics.median(mine):.0f}, longest {max(mine)}"
            )
    if "-v" in argv:
        for name, count in sorted(lines.items(), key=lambda item: -item[1])[:10]:
            print(f"  {count:5} {name}")
    long = too_long(lines)
    for name, count in long.items():
        print(f"too long: {name} has {count} lines, over {limit(name)}")
    return int(bool(long))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
