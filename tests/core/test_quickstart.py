"""The quick start's own commands and Python run as they stand, on a tiny encoder."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from fastbert_core import classifier, cli, tasks
from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.inputs import prepare
from tests.core.test_cli import QUICK, write_reviews

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    fastbert (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the page's commands are given: reviews, texts, and a fine-tuned classifier."""
    folder = tmp_path_factory.mktemp("page")
    for name, seed in (("reviews.csv", 1), ("labelled.csv", 2), ("unlabelled.csv", 3)):
        write_reviews(folder / name, 240, seed)
    data = prepare(folder / "unlabelled.csv")
    for name in ("new.txt", "texts.txt", "unlabelled.txt"):
        (folder / name).write_text("\n".join(data.train.texts) + "\n")
    tiny(folder / "encoder", data.train.texts, layers=2)
    fine_tune(folder, data)
    return folder


def fine_tune(folder, data):
    """A classifier in the usual way, of which ours knows nothing."""
    tokenizer, kept = load_tokenizer(folder / "encoder"), data.train.labels >= 0
    texts, labels = np.array(data.train.texts)[kept].tolist(), torch.from_numpy(data.train.labels[kept])
    torch.manual_seed(1)
    names = dict(enumerate(data.classes))
    model = BertForSequenceClassification.from_pretrained(folder / "encoder", id2label=names)
    batch, optimizer = tokenizer(texts, padding=True, return_tensors="pt"), torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder / "my-classifier")
    tokenizer.save_pretrained(folder / "my-classifier")


def test_its_commands_run_in_their_order(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    for module in (tasks, classifier):  # so that reuters-r8 is a folder here
        monkeypatch.setattr(module, "TASKS", {})
    (folder / "reuters-r8").mkdir()
    write_reviews(folder / "reuters-r8" / "train.csv", 240, 4)
    write_reviews(folder / "reuters-r8" / "test.csv", 100, 5)
    ran = []
    for line in COMMANDS:
        words, _, out = line.partition(" > ")
        words = shlex.split(words.replace("1000", "150").replace("--speedup 3", "--speedup 1.2"))
        if words[0] == "train":
            own = QUICK[2:] if "--classifier" in words else QUICK
            words += own
        assert cli.main(words) == 0, line
        said = capfd.readouterr().out
        if out:
            rows = [json.loads(row) for row in said.splitlines()]
            assert len(rows) == len((folder / "new.txt").read_text().splitlines())
            example = json.loads(re.search(r"^    (\{.*\})$", PAGE, re.MULTILINE)[1])
            assert list(rows[0]) == list(example)
        if words[0] == "evaluate":
            assert re.match(r"\d+ rows; the commonest class is \d+\.\d\d% of them\n", said)
            headings = [row.split() for row in said.splitlines()]
            assert re.search(r"^point .*", PAGE, re.MULTILINE)[0].split() in headings
            assert ["class", "rows", "predicted"] in [heading[:3] for heading in headings]
            assert ("--rules" in words) == (["rule", "2x"] in [heading[:2] for heading in headings])
        ran.append(words[0])
    assert ran == ["train", "predict", "train", "evaluate", "show", "evaluate", "calibrate", "train"]
    imitated = json.loads((folder / "model-of-mine" / "training.json").read_text())
    assert imitated["training"] == "imitation"
    assert imitated["classes"] == ["negative", "positive"]
    assert imitated["stages"]["imitation"]["dev_accuracy"][-1] > 0.9  # whose labels are the classifier's answers


def test_its_python_runs(folder, monkeypatch, capsys):
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    fast = 'backbone="tiny", precision="fp32", epochs=4, rate=0.004, student_epochs=2, student_rate=0.01'
    assert 'backbone="minilm"' in code
    monkeypatch.chdir(folder)
    exec(code.replace('backbone="minilm"', fast), {})
    labels = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert labels == ["positive", "negative"]
    assert np.isfinite(json.loads((folder / "model-2" / "training.json").read_text())["seconds"])
