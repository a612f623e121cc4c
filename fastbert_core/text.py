"""What counts as text, in files and in predictions alike."""

import unicodedata

# Spaces, line and paragraph separators, control characters, and those that only format others, as zero-width ones do.
INVISIBLE = {"Zs", "Zl", "Zp", "Cc", "Cf"}


def is_blank(text: str) -> bool:
    """Whether nothing in `text` can be seen: it is empty, or of spaces, control and zero-width characters alone."""
    return all(unicodedata.category(char) in INVISIBLE for char in text)
