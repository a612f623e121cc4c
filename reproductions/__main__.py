"""`python -m reproductions`."""

import sys

try:
    from reproductions.cli import main  # takes seconds, in which a user may think better of it
except KeyboardInterrupt:
    sys.exit(130)

sys.exit(main())
