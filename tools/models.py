"""Writes models/, or one residual net of any depth.

tools/models.py                     write models/*/{deploy,train}.prototxt
tools/models.py --check             fail if a committed file differs
tools/models.py resnet 6 32 788 6   print ResNet(n1, n2, n3, n4); --train, --size, --batch
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nets import NETS, build, resnet

MODELS = Path(__file__).resolve().parent.parent / "models"


def stale(folder: Path = MODELS) -> list[str]:
    """Files of `folder` that are missing or differ from what would be written."""
    wanted = {f"{net}/{file}": text for net in NETS for file, text in build(net).items()}
    return [
        name
        for name, text in wanted.items()
        if not (folder / name).is_file() or (folder / name).read_text() != text
    ]


def write(folder: Path = MODELS) -> None:
    for net in NETS:
        (folder / net).mkdir(parents=True, exist_ok=True)
        for file, text in build(net).items():
            (folder / net / file).write_text(text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a committed file differs")
    verbs = parser.add_subparsers(dest="verb")
    deep = verbs.add_parser("resnet", help="print a bottleneck residual net")
    deep.add_argument("counts", nargs=4, type=int, metavar="N", help="blocks per stage")
    deep.add_argument("--train", action="store_true")
    deep.add_argument("--size", type=int, default=224, help="image height and width")
    deep.add_argument("--batch", type=int, default=32, help="batch of the train net")
    args = parser.parse_args(argv)
    if args.verb == "resnet":
        net = resnet(tuple(args.counts), args.train, size=args.size, batch=args.batch)
        sys.stdout.write(net.text())
    elif args.check:
        old = stale()
        print("\n".join(f"differs: models/{name}" for name in old) or "models/ is up to date")
        return int(bool(old))
    else:
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
