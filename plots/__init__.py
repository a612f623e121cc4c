"""The figures and the report, drawn from the stored results alone: no model is run."""

BENCH = "bench"  # the folder beside the profiles' that holds what was timed
