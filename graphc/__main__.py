"""python -m graphc."""

from graphc.cli.main import main

main()
