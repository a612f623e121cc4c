"""The profiles: what a run is for, which decides its encoder, its text and its size (settings.toml)."""

PROFILES = ("smoke", "standard", "offline", "paper")
# Generated text (a task file's own text aside), and an encoder that needs no naming.
GENERATED_PROFILES = ("smoke", "offline")
# Held against the paper, and committed; the others train on generated text or tiny encoders.
COMPARED_PROFILES = ("standard", "paper")
