"""`python -m autoloss`: the command line, also where the package is not installed."""

from autoloss.cli import main

main()
