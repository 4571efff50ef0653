"""`python -m magicvl` is `magicvl`."""

from magicvl.cli import main

main()
