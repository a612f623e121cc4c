"""The profiles: what a run is for, which decides its encoder, its text and its size (settings.toml)."""

PROFILES = ("smoke", "standard", "packaged", "paper")
# They bring text and encoder along: nothing may be named (a task file's own text aside).
SELF_CONTAINED = ("smoke", "packaged")
# Held against the paper.
COMPARED_PROFILES = ("standard", "paper")
# Committed, if of the checkout: all but smoke.
PUBLISHED = ("standard", "packaged", "paper")
