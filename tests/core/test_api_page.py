"""The page on Python runs from top to bottom, on a tiny encoder."""

import re
from pathlib import Path

import pytest

from fastbert_core.show import shown
from tests.core.test_cli import write_reviews

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FAST = 'backbone="tiny", precision="fp32", epochs=4, rate=0.004, student_epochs=2, student_rate=0.01'


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_its_examples_run_as_one_session(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_reviews(tmp_path / "reviews.csv", 480)
    write_reviews(tmp_path / "test.csv", 120, 2)
    (tmp_path / "new.txt").write_text("a warm film\na poor plot\nthe actor\n")
    said, names = [], {}
    assert EXAMPLES[0].count('backbone="minilm"') == 1
    for example in EXAMPLES:
        exec(example.replace('backbone="minilm"', FAST), names)
        said.append(capsys.readouterr().out.splitlines())
    trained, predicted, every, measured = said
    accuracy, macro_f1, majority = map(float, trained[0].split())
    assert accuracy > majority
    assert macro_f1 > 80
    assert [line.split()[0] for line in trained[1:]] == ["negative", "positive"]
    tested = names["record"]["test"]
    assert 50 < tested["confidence"] <= 100
    worst = min(tested["classes"], key=lambda row: row["f1"])
    told = f"accuracy {accuracy:.2f}, macro-F1 {macro_f1:.2f}; worst class {worst['class']}, F1 {worst['f1']:.2f}"
    assert f"full model on {tested['rows']} test rows: {told}" in shown(Path("model")).splitlines()
    assert predicted[0].startswith("positive ")
    assert predicted[1:3] == ["positive", "negative"]
    assert 0 <= int(predicted[3]) <= 3
    layers = names["model"].layers
    assert every == [f"{layers} (2, {layers}, 2)"]
    assert [line.split()[0] for line in measured] == ["entropy", "margin", "max-prob"]
