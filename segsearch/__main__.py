"""`python -m segsearch` is the command `segsearch`."""

import sys

from segsearch.commands.app import main

if __name__ == "__main__":
    sys.exit(main())
