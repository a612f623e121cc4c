"""The README's own lines on predicting run as they stand, and without a warning."""

import re
import subprocess
import sys
from pathlib import Path

from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.model import FastBertModel

ROOT = Path(__file__).parents[2]


def lines_of_readme(folder):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("its model lies in")[2].partition("It prints")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    text, named = "\n".join(lines), "runs/models/<run_id>/model"
    assert named in text
    return text.replace(named, str(folder))


def test_they_run_without_a_warning(tmp_path):
    tiny(tmp_path / "bert", ["the river is a tributary of another"], layers=2)
    FastBertModel.from_backbone(tmp_path / "bert", ["no", "yes"]).save_pretrained(tmp_path / "model")
    load_tokenizer(tmp_path / "bert").save_pretrained(tmp_path / "model")
    alone = f"from fastbert_core.encoder_folder import load_tokenizer\nload_tokenizer({str(tmp_path / 'model')!r})\n"
    code = f"{alone}{lines_of_readme(tmp_path / 'model')}\nprint(engine.predict('the river', speed=0.5))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "Prediction(label=" in done.stdout
    said = [line for line in re.split(r"[\r\n]+", done.stderr) if line and not line.startswith("Loading weights")]
    assert said == []
