from pathlib import Path

from reproductions.columns import with_columns
from reproductions.schemas import SCHEMAS

README = Path(__file__).parents[2] / "results" / "README.md"


def test_the_readme_documents_every_column():
    text = README.read_text(encoding="utf-8")
    assert with_columns(text) == text  # else: python -m reproductions.columns
    assert all(f"### {name}.csv" in text for name in SCHEMAS)
