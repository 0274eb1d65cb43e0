"""`python -m segsearch` is the command `segsearch`."""

import sys

from segsearch.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
