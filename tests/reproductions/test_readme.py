from pathlib import Path

import pandas as pd

from reproductions.readme import END, START, table, tally, with_table
from reproductions.store import read_table

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_committed_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = [read_table(ROOT / "results" / "standard", name) for name in ("table2", "comparisons")]
    assert with_table(text, *tables) == text  # python -m reproductions.readme


def test_measured_stands_over_reported_and_what_is_missing_is_empty():
    rows = pd.DataFrame(
        [
            ("dbpedia", "BERT", "12 layers", 98.3, 1.0, 99.31, 1.0, 12022, "", 12.0, None, None),
            ("dbpedia", "FastBERT", "speed=0.1", 98.2, 3.681, None, None, 12022, "worse", 3.1, 1.71, 0.03),
            ("dbpedia", "FastBERT", "speed=0.5", 96.034, 10.812, None, None, 12022, "not worse", 1.05, 2.9, 0.26),
            ("dbpedia", "FastBERT", "speed=0.2 chosen on dev", 97.9, 7.0, None, None, 12022, "", 1.64, None, None),
            ("book-review", "DistilBERT", "1 layers", 80.0, 12.023, 81.33, 11.72, 4000, "", 1.0, None, None),
            ("mine", "BERT", "12 layers", 50.0, 1.0, None, None, 10, "", 12.0, None, None),
        ],
        columns=[
            "task",
            "model",
            "setting",
            "accuracy",
            "speedup",
            "reported_accuracy",
            "reported_speedup",
            "train_rows",
            "verdict_relative",
            "mean_layers",
            "relative_loss",
            "reported_loss",
        ],
    ).assign(test_rows=7600)
    # Rounded apart, the two accuracies would differ by 0.40.
    comparisons = pd.DataFrame({"task": ["dbpedia"], "against": "BERT", "difference": [-0.39]})
    comparisons["setting"] = "speed=0.2 chosen on dev"
    assert table(rows).splitlines()[2:] == [
        "| book-review | measured, 4,000 / 7,600 rows |  |  |  | 80.00 · 12.02x |  |  |  |",
        "| | paper |  |  |  | 81.33 · 11.72x |  |  |  |",
        "| dbpedia | measured, 12,022 / 7,600 rows | 98.30 · 1.00x |  |  |  | 98.20 · 3.68x | 96.03 · 10.81x |  |",
        "| | paper | 99.31 · 1.00x |  |  |  |  |  |  |",
    ]
    said = tally(rows, comparisons)
    assert "of 2 rows 1 not worse, 1 worse, 0 inconclusive (`verdict_relative`" in said
    assert "speed 0.5 it loses, in points and in brackets what the paper's loses: dbpedia 2.90 (0.26).\n" in said
    assert said.endswith("on the test set: dbpedia 0.39 at 1.6 layers.")
    expected = f"a\n{START}\n\n{table(rows)}\n\n{said}\n\n{END}\nb"
    assert with_table(f"a\n{START}old{END}\nb", rows, comparisons) == expected
