"""`python -m fastbert_core`: the command `fastbert`."""

import sys

from fastbert_core.cli import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m fastbert_core"))
