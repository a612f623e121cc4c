"""`python -m plots.report`."""

import sys

from plots.report.cli import main

sys.exit(main())
