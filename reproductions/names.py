"""Names of the profiles, of other folders of results, of FastBERT's own training, and of environment variables."""

# A profile says what a run is for, which decides its encoder, its text and its size (settings.toml).
PROFILES = ("smoke", "standard", "packaged", "paper")
# They bring text and encoder along: no folder of either may be named (a task file's own text aside).
SELF_CONTAINED = ("smoke", "packaged")
# Held against the paper.
COMPARED_PROFILES = ("standard", "paper")
# Committed, if of the checkout: all but smoke.
PUBLISHED = ("standard", "packaged", "paper")
BENCH = "bench"  # the folder beside the profiles' that holds what was timed
FOREIGN = "foreign"  # the training of a trace from elsewhere, and the folder of what follows from it
SELF_DISTILLATION = "self-distillation"  # FastBERT's own training, which the tables mean by FastBERT
DATA, MODELS, RUNS = "FASTBERT_DATA", "FASTBERT_MODELS", "FASTBERT_RUNS"  # by which users name folders
