"""python -m graphc."""

from graphc.cli.main import run

run()
