"""`python -m reproductions`."""

import sys

from reproductions.cli import main

sys.exit(main())
