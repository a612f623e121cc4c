"""The figures and the report, drawn from the stored results alone: no model is run."""

FOREIGN = "foreign"  # the training of a trace from elsewhere, and the folder of what follows from it
BENCH = "bench"  # the folder beside the profiles' that holds what was timed
