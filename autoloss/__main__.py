"""`python -m autoloss`: the command line, also where the package is not installed."""

from __future__ import annotations

import sys

from autoloss.errors import UserError


def main() -> None:
    """Run a command; also what keeps the package from being imported is one message, status 2."""
    try:
        from autoloss import cli
    except UserError as error:  # of a file in autoloss/models or autoloss/losses
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    cli.main()


if __name__ == "__main__":
    main()
